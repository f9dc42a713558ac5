"""The file system of a CPS3, as far as it is known, and stand-ins for the rest.

Seen on real cards or in the drivers made for them: both ATRs, the AIDs, EF.ATR with its bytes,
EF.SN, EF.DIR's size, 0001/7001 (readable with contacts alone), 0001/D107 (the file that changes),
0001/D120 to D12F (situations), 5031 and 5032, the references of keys, codes and algorithms, the
access rules of the codes and of EF.SN and EF.ATR. **Every other FID, and which file 7001 is, are
stand-ins**: a driver finds them through PKCS#15.
"""

ATR_CONTACT = bytes.fromhex("3BAC00402A001225006480000310009000")
ATR_CONTACTLESS = bytes.fromhex("3B8F80010031B86404B0ECC1739401808290000E")

MF_AID = bytes.fromhex("80250000 01FF0100")
CONTACT_AID = bytes.fromhex("E828BD080F80250000 01FF0010")
CONTACTLESS_AID = bytes.fromhex("E828BD080F80250000 01FF0020")

MF = bytes.fromhex("3F00")
CONTACT_DF = bytes.fromhex("3F000001")
CONTACTLESS_DF = bytes.fromhex("3F000002")
FOLDERS = {MF: MF_AID, CONTACT_DF: CONTACT_AID, CONTACTLESS_DF: CONTACTLESS_AID}

EF_DIR, EF_ATR, EF_SN, EF_ACTUA = (bytes.fromhex(fid) for fid in ("2F00", "2F01", "D003", "D010"))
ODF, TOKEN_INFO = bytes.fromhex("5031"), bytes.fromhex("5032")
AODF, PRKDF, PUKDF, CDF, DODF = (bytes.fromhex(f"700{digit}") for digit in "12345")
CERTIFICATES = tuple(bytes.fromhex(f"A00{digit}") for digit in "123")
CPS_DATA, SIT_FACT = bytes.fromhex("D107"), bytes.fromhex("D110")
SITUATIONS = tuple(bytes.fromhex(f"D12{digit:X}") for digit in range(16))
FREE_OBJECTS = {
    "CPS_ID_CARD": bytes.fromhex("D101"),
    "CPS_NAME_PS": bytes.fromhex("D102"),
    "CPS_LANG_PS": bytes.fromhex("D103"),
    "CPS_INFO_PS": bytes.fromhex("D104"),
}

SFI = {EF_ATR: 0x1D, EF_SN: 0x1C, EF_DIR: 0x1E}

EF_ATR_BYTES = bytes.fromhex(
    "80 43 01B8 46 04 04B0ECC1 47 03 940180 4F 08 8025000001FF0100"
    "E0 10 0202 0104 0202 0104 0202 0100 0202 0100 78 08 06062B8122F87802 82 02 9000"
)

# Security condition bytes (IAS-ECC): 00 always, FF never, 1x user authentication as SE x says.
ALWAYS, NEVER = 0x00, 0xFF
BY_PIN, BY_PUK, BY_PRODUCER = 0x15, 0x13, 0x45
SECURITY_ENVIRONMENTS = {0x05: 0x01, 0x03: 0x02}

PIN, PUK = 0x01, 0x02
SIGNATURE_KEY, AUTHENTICATION_KEY = 0x01, 0x02
TECHNICAL_KEY = 0x03  # not known: a driver takes it from the PrKDF
LOCAL = 0x80

SIGNATURE_ID, AUTHENTICATION_ID, TECHNICAL_ID = (CONTACT_AID + bytes((n,)) for n in (1, 2, 3))
