// Verify an assertion and a card's proof as a relying party does, with jose and node:crypto alone.
// Standard input: {assertion, jwks, proof, roots: [PEM], issuer, audience, nonce}. Standard output:
// {assertion: claims, proof: claims, type}. Exit code 1 and a reason where anything does not hold.
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { createLocalJWKSet, decodeProtectedHeader, importX509, jwtVerify } from "jose";

function issued(subject, issuer, now) {
  return (
    subject.checkIssued(issuer) &&
    subject.verify(issuer.publicKey) &&
    [subject, issuer].every((each) => new Date(each.validFrom) <= now && now <= new Date(each.validTo))
  );
}

function pem(der) {
  return new X509Certificate(Buffer.from(der, "base64"));
}

async function verifiedProof(given) {
  const header = decodeProtectedHeader(given.proof);
  const chain = header.x5c.map(pem);
  const roots = given.roots.map((each) => new X509Certificate(each));
  const now = new Date();
  chain.slice(1).forEach((issuer, at) => {
    if (!issuer.ca || !issued(chain[at], issuer, now)) throw new Error("x5c is no chain");
  });
  if (!roots.some((root) => issued(chain.at(-1), root, now))) throw new Error("not under a root");
  const key = await importX509(chain[0].toString(), "RS256");
  return jwtVerify(given.proof, key, {
    algorithms: ["RS256"],
    typ: "cardd-cps-proof+jwt",
    audience: given.audience,
    requiredClaims: ["nonce", "purpose", "jti", "iat", "exp"],
  });
}

const given = JSON.parse(readFileSync(0, "utf8"));
const assertion = await jwtVerify(given.assertion, createLocalJWKSet(given.jwks), {
  algorithms: ["ES256"],
  typ: "cardd-auth+jwt",
  issuer: given.issuer,
  audience: given.audience,
});
const proof = await verifiedProof(given);
for (const each of [assertion, proof]) {
  if (each.payload.nonce !== given.nonce) throw new Error("another nonce");
}
console.log(JSON.stringify({ assertion: assertion.payload, proof: proof.payload }));
