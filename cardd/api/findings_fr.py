"""Les textes des constats en français. Les noms entre accolades sont les faits du constat."""

from cardd.api.text import FindingText
from cardd.badges.inspection.findings import FindingCode as F

TEXTS: dict[F, FindingText] = {
    F.DEFAULT_KEY: FindingText(
        "Tout le monde connaît une clé de {application} : elle est faite de zéros (clé {keys}).",
        "C'est normal pour une carte vierge avant l'encodage, jamais pour un badge en service : "
        "reprenez-le et faites-le encoder. Si l'application est à un tiers, prévenez-le.",
    ),
    F.KEY_NEVER_SET: FindingText(
        "Une clé de {application} n'a peut-être jamais été changée (clé {keys}, version 0).",
        "Pour en être sûr, refaites l'inspection avec --try-default-keys.",
    ),
    F.SHARED_KEY: FindingText(
        "{key} n'est pas propre à ce badge : {match}.",
        "Une clé commune à plusieurs badges est interdite. Révoquez ce badge, cherchez comment il "
        "a été encodé et contrôlez les badges encodés en même temps.",
    ),
    F.PICC_KEY_NOT_OURS: FindingText(
        "La clé maîtresse de la carte n'est pas celle que l'établissement lui a donnée.",
        "Quelqu'un l'a changée, ou c'est une autre carte de même UID. Révoquez le badge et "
        "encodez-en un autre.",
    ),
    F.BADGE_KEY_NOT_OURS: FindingText(
        "Le badge ne répond pas à ses propres clés : {keys}.",
        "Il ne peut rien prouver. Révoquez-le et cherchez si c'est une copie.",
    ),
    F.FREE_CREATE_DELETE: FindingText(
        "N'importe qui peut créer ou supprimer dans {application}.",
        "C'est normal pour une carte vierge avant l'encodage. Sinon, faites-la fermer par son "
        "propriétaire.",
    ),
    F.FREE_LISTING: FindingText(
        "N'importe qui peut voir la liste de ce que contient {application}.",
        "Cela ne livre aucun contenu, mais dit à quoi sert la carte.",
    ),
    F.FREE_ACCESS_FILE: FindingText(
        "N'importe qui a accès au fichier {file} de {application} : {rights}.",
        "Il ne doit contenir rien de personnel et rien qui ouvre une porte. Prévenez son "
        "propriétaire.",
    ),
    F.RANDOM_UID: FindingText(
        "La carte montre un autre UID (numéro de série) à chaque passage.",
        "Elle ne peut pas servir de badge ici, et c'est définitif : prenez une autre carte.",
    ),
    F.UID_LENGTH: FindingText(
        "L'UID (numéro de série) de la carte a {bytes} octets ; il en faut 7 à un badge.",
        "Elle ne peut pas servir de badge ici : prenez une autre carte.",
    ),
    F.UID_MISMATCH: FindingText(
        "La carte dit avoir l'UID {card}, et le lecteur lit {reader}.",
        "C'est peut-être une copie. Ne l'utilisez pas et gardez-la pour le responsable de la "
        "sécurité.",
    ),
    F.NOT_A_DESFIRE: FindingText(
        "Cette carte ne répond pas comme une DESFire.",
        "Elle ne peut pas servir de badge ici : prenez une autre carte.",
    ),
    F.PRODUCT_UNKNOWN: FindingText(
        "Cette carte répond comme une DESFire d'un modèle inconnu (matériel {hardware}).",
        "Elle ne peut pas servir de badge ici ; cherchez une version plus récente de cardd.",
    ),
    F.PRODUCT_WITHOUT_AES: FindingText(
        "Cette carte est trop ancienne : elle ne connaît pas le chiffrement AES.",
        "Un laboratoire sait en extraire les clés. Remplacez-la.",
    ),
    F.BELOW_MINIMUM_SCHEME: FindingText(
        "Cette carte offre {scheme}, et l'établissement exige {minimum}.",
        "Elle est refusée ici. Remplacez-la.",
    ),
    F.NOT_ORIGINAL: FindingText(
        "La signature du fabricant sur cette carte n'est aucune de celles qui sont connues.",
        "C'est peut-être une copie, ou un produit plus récent que ce programme. Demandez à qui l'a "
        "livrée.",
    ),
    F.TEST_SIGNATURE: FindingText(
        "C'est une carte virtuelle : sa signature est faite avec une clé de test.",
        "Elle n'est acceptée qu'en développement.",
    ),
    F.OTHER_APPLICATIONS: FindingText(
        "La carte porte aussi des applications de tiers ({count}) : {applications}.",
        "Elles ne sont pas touchées. Vérifiez qu'elles sont attendues.",
    ),
    F.NOT_REGISTERED: FindingText(
        "La carte porte {application} de l'établissement, et le registre ne la connaît pas.",
        "Elle est refusée ici. Cherchez qui l'a encodée.",
    ),
    F.NOT_IN_USE: FindingText(
        "Le badge n'est pas en service : {state}.",
        "Il est refusé tant que cela ne change pas.",
    ),
    F.UNFINISHED: FindingText(
        "Un travail sur ce badge a été interrompu ({procedure}).",
        "Présentez-le de nouveau pour la même chose : il reprendra où il en était.",
    ),
    F.EXPIRED: FindingText(
        "Le badge a expiré le {at}.",
        "Il est refusé. Donnez un autre badge à son titulaire.",
    ),
    F.OUTDATED_GENERATION: FindingText(
        "Les clés du badge sont de la génération {generation} ; l'actuelle est la {current}.",
        "Renouvelez ses clés (cardctl badge rekey).",
    ),
    F.REGISTRY_DISAGREES: FindingText(
        "Le badge n'est pas tel qu'il a été encodé : {what}.",
        "Quelqu'un qui avait ses clés l'a modifié, ou son encodage s'est mal passé. Révoquez-le et "
        "encodez-en un autre.",
    ),
}

PICC = "la carte elle-même"
APPLICATION = "l'application {}"

WORDS = {
    "picc": "la clé maîtresse de la carte",
    "master": "la clé maîtresse du badge",
    "authenticate": "la clé qui prouve le badge",
    "another-badge": "un autre badge l'a aussi",
    "without-uid": "elle a été faite sans l'UID de la carte, et tous ces badges l'ont",
    "zeros": "elle est faite de zéros, que tout le monde connaît",
    "read": "lire",
    "write": "écrire",
    "read-write": "lire et écrire",
    "change": "changer les droits",
    "value": "lire sa valeur",
    "blank": "il est vierge, pas encore encodé",
    "stock": "il n'a pas de titulaire",
    "assigned": "il n'a pas été remis",
    "suspended": "il est suspendu",
    "revoked": "il est révoqué",
    "wiped": "il a été effacé",
    "prepare": "préparation",
    "encode-factory": "encodage",
    "encode-transport": "encodage",
    "rekey": "renouvellement de ses clés",
    "wipe": "effacement",
    "uid": "son UID",
    "picc-settings": "les réglages de la carte",
    "picc-key-version": "la version de la clé maîtresse de la carte",
    "application": "l'application de l'établissement n'y est pas",
    "application-settings": "les réglages de l'application",
    "key-versions": "les versions de ses clés",
    "files": "les fichiers présents",
    "file-settings": "les réglages de son fichier",
    "content": "le contenu de son fichier",
    "ev1-aes": "EV1 avec AES",
    "ev2-aes": "EV2 avec AES",
}
