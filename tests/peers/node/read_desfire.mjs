// Authenticate on a DESFire with D40 and read a file, with nfc-pcsc: the steps of its own example.
// Standard input: {reader, aid, key, keyNumber, file, length}, bytes in hex. Standard output:
// {atr, data}. Exit code 1 and the step that failed where the card refuses.
//
// nfc-pcsc's example enciphers what it sends. D40 has the reader decipher in both directions, which
// is the same for the example's key of zeros alone; this does as D40 says.
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { NFC } from "nfc-pcsc";

const given = JSON.parse(readFileSync(0, "utf8"));
const key = Buffer.from(given.key, "hex");
const ZEROS = Buffer.alloc(8);
const LIMIT_MS = 20_000;

function run(cipher, data) {
  cipher.setAutoPadding(false);
  return Buffer.concat([cipher.update(data), cipher.final()]);
}

function receive(data) {
  return run(createDecipheriv("des-ede-cbc", key, ZEROS), data);
}

// C = D(P xor C before): CBC the other way round, block by block.
function send(data) {
  const blocks = [];
  let before = ZEROS;
  for (let at = 0; at < data.length; at += 8) {
    const mixed = Buffer.from(data.subarray(at, at + 8).map((byte, index) => byte ^ before[index]));
    before = run(createDecipheriv("des-ede-cbc", key, ZEROS), mixed);
    blocks.push(before);
  }
  return Buffer.concat(blocks);
}

async function command(reader, step, instruction, parameters, status) {
  const apdu = Buffer.from([0x90, instruction, 0, 0, parameters.length, ...parameters, 0]);
  const answer = await reader.transmit(apdu, 255);
  if (answer.at(-2) !== 0x91 || answer.at(-1) !== status) {
    throw new Error(`${step}: ${answer.toString("hex")}`);
  }
  return answer.subarray(0, -2);
}

async function authenticate(reader) {
  const rndB = receive(await command(reader, "authenticate", 0x0a, [given.keyNumber], 0xaf));
  const rndA = randomBytes(8);
  const both = Buffer.concat([rndA, rndB.subarray(1), rndB.subarray(0, 1)]);
  const turned = receive(await command(reader, "prove", 0xaf, send(both), 0x00));
  const same = Buffer.concat([rndA.subarray(1), rndA.subarray(0, 1)]).equals(turned);
  if (!same) throw new Error("the card does not know the key");
}

async function read(reader) {
  await command(reader, "select", 0x5a, Buffer.from(given.aid, "hex"), 0x00);
  await authenticate(reader);
  const span = [given.file, 0, 0, 0, given.length, 0, 0];
  return command(reader, "read", 0xbd, span, 0x00);
}

function end(code, text) {
  (code ? process.stderr : process.stdout).write(`${text}\n`, () => process.exit(code));
}

setTimeout(() => end(1, "no card came"), LIMIT_MS);
const nfc = new NFC();
nfc.on("error", (error) => end(1, `pcscd: ${error.message}`));
nfc.on("reader", (reader) => {
  reader.autoProcessing = false;
  reader.on("error", (error) => end(1, `reader: ${error.message}`));
  reader.on("card", (card) => {
    if (reader.name !== given.reader) return;
    read(reader).then(
      (data) => end(0, JSON.stringify({ atr: card.atr.toString("hex"), data: data.toString("hex") })),
      (error) => end(1, error.message),
    );
  });
});
