"""The texts of the catalogue in French."""

from cardd.api.text import Text
from cardd.errors import Code

TEXTS: dict[Code, Text] = {
    Code.NO_CARD: Text(
        "Aucune carte",
        "Aucune carte n’a été présentée à temps. Posez votre badge sur le lecteur et recommencez.",
    ),
    Code.CARD_REMOVED: Text(
        "Carte retirée",
        "La carte a été retirée avant la fin. Présentez-la de nouveau et laissez-la en place.",
    ),
    Code.TAP_TOO_SHORT: Text(
        "Passage trop bref",
        "Le badge a été retiré trop vite. Posez-le une seconde sur le lecteur.",
    ),
    Code.CARD_BUSY: Text(
        "Carte occupée",
        "La carte ou le lecteur sert déjà à une autre demande. Patientez, puis recommencez.",
    ),
    Code.CARD_NOT_SUPPORTED: Text(
        "Carte non reconnue",
        "Cette carte ne peut pas être utilisée ici. Présentez un badge de l’établissement.",
    ),
    Code.PIN_INCORRECT: Text(
        "Code incorrect",
        "La carte a refusé ce code. Tapez le code de la carte qui est dans le lecteur.",
    ),
    Code.PIN_LAST_TRY: Text(
        "Dernier essai",
        "Un autre code faux bloquerait la carte. Assurez-vous du code avant le dernier essai.",
    ),
    Code.PIN_BLOCKED: Text(
        "Code bloqué",
        "Trop de codes faux : la carte est bloquée. Débloquez-la avec son code de déblocage.",
    ),
    Code.PUK_INCORRECT: Text(
        "Code de déblocage incorrect",
        "La carte a refusé ce code de déblocage. Tapez celui qui a été remis avec la carte ; "
        "une fois ses essais épuisés, il faut remplacer la carte.",
    ),
    Code.PUK_LAST_TRY: Text(
        "Dernier essai du code de déblocage",
        "Un autre code de déblocage faux rendrait la carte inutilisable. Assurez-vous du code "
        "avant le dernier essai.",
    ),
    Code.PUK_BLOCKED: Text(
        "Code de déblocage bloqué",
        "Trop de codes de déblocage faux : la carte ne peut plus être débloquée. Demandez une "
        "autre carte à son émetteur.",
    ),
    Code.PIN_MALFORMED: Text(
        "Code de mauvaise forme",
        "Ce code n'a pas la forme de celui de la carte : des chiffres, en nombre attendu. "
        "Retapez-le ; la carte n'a compté aucun essai.",
    ),
    Code.PIN_CANCELLED: Text(
        "Saisie annulée",
        "La saisie du code a été annulée sur le lecteur. Recommencez si vous le souhaitez.",
    ),
    Code.BADGE_UNKNOWN: Text(
        "Badge inconnu",
        "Ce badge n’est pas enregistré dans l’établissement. Adressez-vous au service des badges.",
    ),
    Code.BADGE_NOT_GENUINE: Text(
        "Badge non authentique",
        "Ce badge n’a pas prouvé son authenticité. Remettez-le au service des badges.",
    ),
    Code.BADGE_SUSPENDED: Text(
        "Badge suspendu",
        "Ce badge est suspendu. Adressez-vous au service des badges pour le rétablir.",
    ),
    Code.BADGE_REVOKED: Text(
        "Badge révoqué",
        "Ce badge a été révoqué et ne servira plus. Demandez-en un autre au service des badges.",
    ),
    Code.BADGE_EXPIRED: Text(
        "Badge expiré",
        "La durée de validité de ce badge est dépassée. Faites-le renouveler.",
    ),
    Code.BADGE_NOT_HANDED_OVER: Text(
        "Badge non remis",
        "Ce badge n’a pas encore été remis à son titulaire. Passez au service des badges pour "
        "l’activer.",
    ),
    Code.HOLDER_ENDED: Text(
        "Titulaire sorti",
        "Le titulaire de ce badge ne fait plus partie de l’établissement. Si c’est une erreur, "
        "adressez-vous au service du personnel.",
    ),
    Code.HOLDER_UNKNOWN: Text(
        "Personne non enregistrée",
        "La personne que désigne cette carte n’est pas enregistrée dans l’établissement. "
        "Adressez-vous au service du personnel.",
    ),
    Code.PROOF_INVALID: Text(
        "Carte non prouvée",
        "La carte n’a pas prouvé à temps, et pour cette demande, qu’elle est authentique. "
        "Recommencez ; en cas de nouvel échec, faites vérifier la carte et l’heure de ce poste.",
    ),
    Code.WRONG_PERSON: Text(
        "Autre personne attendue",
        "Ce badge est celui d’une autre personne que celle attendue. Présentez votre propre badge.",
    ),
    Code.SECOND_FACTOR_REQUIRED: Text(
        "Second facteur requis",
        "Le badge seul ne suffit pas pour cette application. Authentifiez-vous aussi avec votre "
        "second facteur.",
    ),
    Code.KMS_UNAVAILABLE: Text(
        "Service des clés indisponible",
        "Les badges ne peuvent pas être vérifiés pour le moment. Utilisez un autre moyen de "
        "connexion et prévenez le support.",
    ),
    Code.PCSC_UNAVAILABLE: Text(
        "Lecteur indisponible",
        "Le lecteur de cartes ne répond pas. Vérifiez son branchement, puis prévenez le support.",
    ),
    Code.RATE_LIMITED: Text(
        "Trop de demandes",
        "Trop de demandes en peu de temps. Patientez un instant, puis recommencez.",
    ),
    Code.TIMEOUT: Text(
        "Délai dépassé",
        "La carte ou le service n’a pas répondu à temps. Recommencez.",
    ),
    Code.FORBIDDEN: Text(
        "Accès refusé",
        "Vous n’avez pas le droit de faire cela ici. Demandez ce droit à votre administrateur.",
    ),
    Code.NOT_FOUND: Text(
        "Introuvable",
        "Ce qui est demandé n’existe pas, ou n’existe plus. Vérifiez la référence.",
    ),
    Code.CONFLICT: Text(
        "Déjà pris ou modifié",
        "La demande contredit ce qui est déjà enregistré. Actualisez, vérifiez, puis recommencez.",
    ),
    Code.NOT_SUPPORTED: Text(
        "Impossible ici",
        "Ce support de clés ne sait pas le faire. Le message indique ce qui est possible.",
    ),
    Code.INVALID_REQUEST: Text(
        "Demande incorrecte",
        "L’application a envoyé une demande incorrecte. Prévenez le support en citant ce message.",
    ),
    Code.BADGE_UNFINISHED: Text(
        "Renouvellement inachevé",
        "Le renouvellement des clés de ce badge a été interrompu. Faites-le terminer au "
        "service des badges.",
    ),
    Code.BADGE_FULL: Text(
        "Badge plein",
        "Il n’y a plus assez de place sur ce badge. Prenez un autre badge.",
    ),
    Code.BADGE_KEYS_UNKNOWN: Text(
        "Clés du badge inconnues",
        "Ce badge porte des clés que l’établissement ne connaît pas. Mettez-le de côté et "
        "prenez un badge vierge.",
    ),
    Code.UID_UNUSABLE: Text(
        "Numéro de puce inutilisable",
        "Le numéro de la puce de ce badge ne convient pas. Prenez un badge d’un modèle accepté.",
    ),
    Code.ALREADY_ACTIVE: Text(
        "Badge déjà actif",
        "Ce badge est déjà en service. Révoquez-le d’abord, ou prenez un badge vierge.",
    ),
    Code.REGISTRY_INTEGRITY: Text(
        "Registre altéré",
        "Une fiche du registre a été modifiée sans autorisation et n’est plus acceptée. "
        "Prévenez sans tarder l’administrateur et le responsable de la sécurité.",
    ),
    Code.CERTIFICATE_INVALID: Text(
        "Certificat illisible",
        "Le certificat de cette carte est illisible. Recommencez ; si cela persiste, faites "
        "remplacer la carte.",
    ),
    Code.UNTRUSTED_ISSUER: Text(
        "Émetteur inconnu",
        "Cette carte n’a pas été émise par une autorité reconnue par l’établissement. Présentez "
        "une autre carte ou prévenez le support.",
    ),
    Code.ISSUER_SIGNATURE_INVALID: Text(
        "Certificat non authentique",
        "Le certificat de cette carte n’a pas été signé par l’autorité qu’il nomme. Prévenez le "
        "responsable de la sécurité.",
    ),
    Code.CERTIFICATE_EXPIRED: Text(
        "Carte expirée",
        "La durée de validité de cette carte est dépassée. Commandez une nouvelle carte.",
    ),
    Code.CERTIFICATE_NOT_YET_VALID: Text(
        "Carte pas encore valable",
        "La validité de cette carte n’a pas commencé. Utilisez l’ancienne carte, ou prévenez le "
        "support si la date de ce poste est fausse.",
    ),
    Code.CERTIFICATE_REVOKED: Text(
        "Carte révoquée",
        "Cette carte a été révoquée et ne servira plus. Utilisez-en une autre ou commandez-en "
        "une nouvelle.",
    ),
    Code.CERTIFICATE_USAGE: Text(
        "Certificat inadapté",
        "Le certificat de cette carte ne permet pas de se connecter ici. Présentez une autre "
        "carte.",
    ),
    Code.CRL_EXPIRED: Text(
        "Liste de révocation périmée",
        "La liste des cartes révoquées est trop ancienne pour vérifier la vôtre. Utilisez un "
        "autre moyen de connexion et prévenez le support.",
    ),
    Code.REVOCATION_UNAVAILABLE: Text(
        "Révocation invérifiable",
        "Il est impossible de vérifier maintenant si cette carte est révoquée. Utilisez un autre "
        "moyen de connexion et prévenez le support.",
    ),
    Code.TEST_CARD_REFUSED: Text(
        "Carte de test",
        "Cette carte de test n’est pas acceptée ici. Présentez votre propre carte.",
    ),
    Code.TRUST_UNAVAILABLE: Text(
        "Autorités des cartes indisponibles",
        "Les autorités qui servent à vérifier les cartes sont illisibles. Utilisez un autre moyen "
        "de connexion et prévenez le support.",
    ),
    Code.INTERNAL_ERROR: Text(
        "Erreur interne",
        "Le service a rencontré une erreur imprévue. Recommencez ; si elle persiste, prévenez "
        "le support.",
    ),
}
