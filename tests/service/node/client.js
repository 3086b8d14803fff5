// A client made of the published .proto files: lists the fillers, fills two blobs over TLS with a token, breaks off in
// the middle and goes on at the byte where it stood. Prints what it found as JSON, and writes the values to files.
//
// Usage: node client.js ADDRESS CA TOKEN PROTOS OUT

const fs = require('fs');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const loader = require('@grpc/proto-loader');

const [address, ca, token, protos, out] = process.argv.slice(2);

const definition = loader.loadSync('caffe_filler/v1/filler.proto', {
  includeDirs: [protos],
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
});
const { FillerService } = grpc.loadPackageDefinition(definition).caffe_filler.v1;

const TABLE = Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) {
    byte = byte & 1 ? (byte >>> 1) ^ 0x82f63b78 : byte >>> 1;
  }
  return byte >>> 0;
});

/** CRC-32C (Castagnoli). */
function crc32c(data) {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc = TABLE[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function integer(value) {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(value));
  return bytes;
}

function float(value) {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function text(value) {
  const bytes = Buffer.from(value);
  return Buffer.concat([integer(bytes.length), bytes]);
}

/** What `filler.proto` says of a blob's `request_crc32c`, for requests as they are made below. */
function understood(request) {
  const parts = [integer(request.seed || 0), integer(0), integer(0), integer(request.blobs.length)];
  for (const { name = '', shape = { dim: [] }, region, filler } of request.blobs) {
    parts.push(text(name), integer(shape.dim.length), ...shape.dim.map(integer));
    parts.push(...(region ? [1, 1, region.flat.start, 1, region.flat.stop] : [0]).map(integer));
    parts.push(text(filler.type), ...[0, 0, 1, 0, filler.std || 1].map(float), integer(-1), integer(0));
  }
  return crc32c(Buffer.concat(parts));
}

function metadata(secret) {
  const fields = new grpc.Metadata();
  fields.set('authorization', `Bearer ${secret}`);
  fields.set('x-request-id', 'node/1');
  return fields;
}

const client = new FillerService(address, grpc.credentials.createSsl(fs.readFileSync(ca)));

function list(secret) {
  return new Promise((resolve, reject) => {
    client.ListFillers({}, metadata(secret), (error, reply) => (error ? reject(error) : resolve(reply.fillers)));
  });
}

/** Fills, and adds the bytes of each blob to `blobs`; breaks off after `most` bytes. Returns how many came. */
function fill(request, blobs, most = Infinity) {
  const asked = understood(request);
  return new Promise((resolve, reject) => {
    let received = 0;
    const call = client.Fill(request, metadata(token));
    call.on('data', (message) => {
      for (const piece of message.pieces) {
        if (received >= most) {
          break;
        }
        if (crc32c(piece.data) !== piece.crc32c) {
          reject(new Error(`the checksum of blob ${piece.blob} at ${piece.offset} is wrong`));
        }
        if (piece.header && piece.header.request_crc32c !== asked) {
          reject(new Error(`the server understood another request: ${piece.header.request_crc32c}, not ${asked}`));
        }
        if (piece.offset !== blobs[piece.blob].length) {
          reject(new Error(`blob ${piece.blob} goes on at ${piece.offset}`));
        }
        blobs[piece.blob] = Buffer.concat([blobs[piece.blob], piece.data]);
        received += piece.data.length;
      }
      if (received >= most) {
        call.cancel();
      }
    });
    call.on('error', (error) => (error.code === grpc.status.CANCELLED ? resolve(received) : reject(error)));
    call.on('end', () => resolve(received));
  });
}

async function main() {
  const fillers = await list(token);
  const refusal = await list('wrong').catch((error) => grpc.status[error.code]);
  const request = {
    seed: 1701,
    dtype: 'FLOAT32',
    blobs: [
      { name: 'fc6/0', filler: { type: 'gaussian', std: 0.005 }, shape: { dim: [1024, 1024] } },
      { name: 'conv1/0', filler: { type: 'xavier' }, shape: { dim: [96, 3, 11, 11] }, region: { flat: { start: 7, stop: 5000 } } },
    ],
  };
  const whole = [Buffer.alloc(0), Buffer.alloc(0)];
  const received = await fill(request, whole);
  const resumed = [Buffer.alloc(0), Buffer.alloc(0)];
  const first = await fill(request, resumed, 1500000);
  const second = await fill({ ...request, start: { blob: 0, offset: resumed[0].length } }, resumed);
  const bad = await fill({ blobs: [{ filler: { type: 'gauss' } }] }, []).catch((error) => [
    grpc.status[error.code],
    error.details,
  ]);
  whole.forEach((blob, index) => fs.writeFileSync(path.join(out, `${index}.bin`), blob));
  const same = whole.every((blob, index) => blob.equals(resumed[index]));
  console.log(JSON.stringify({ fillers: fillers.map((filler) => filler.type), refusal, received, first, second, same, bad }));
  client.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
