// A small PNG of a screenshot: a page has few colours, so they are listed once and every pixel names one. Of more than 256 the most frequent are listed,
// and what remains, the edges of letters, takes the nearest.

import { crc32, deflateSync, inflateSync } from "node:zlib";

/** Rewrites an 8-bit RGB or RGBA PNG without interlacing, as Chrome makes them, with a palette. */
export function smallPng(png) {
  const parts = [];
  for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) parts.push([png.toString("latin1", at + 4, at + 8), png.subarray(at + 8, at + 8 + png.readUInt32BE(at))]);
  const [, head] = parts.find(([type]) => type === "IHDR");
  const [width, height, channels] = [head.readUInt32BE(0), head.readUInt32BE(4), head[9] === 6 ? 4 : 3];
  const pixels = unfiltered(inflateSync(Buffer.concat(parts.filter(([type]) => type === "IDAT").map(([, data]) => data))), width * channels, channels);

  const counts = new Map();
  for (let at = 0; at < pixels.length; at += channels) {
    const colour = pixels.readUIntBE(at, 3);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const palette = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, 256).map(([colour]) => colour);
  const places = new Map(palette.map((colour, i) => [colour, i]));
  for (const colour of counts.keys()) if (!places.has(colour)) places.set(colour, nearest(palette, colour));

  const rows = Buffer.alloc((width + 1) * height); // each begins with its filter: none
  for (let i = 0; i < width * height; i++) rows[i + Math.floor(i / width) + 1] = places.get(pixels.readUIntBE(i * channels, 3));
  const indexed = Buffer.from(head);
  indexed[9] = 3;
  const colours = Buffer.alloc(3 * palette.length);
  palette.forEach((colour, i) => colours.writeUIntBE(colour, 3 * i, 3));
  return Buffer.concat([png.subarray(0, 8), chunk("IHDR", indexed), chunk("PLTE", colours), chunk("IDAT", deflateSync(rows, { level: 9, memLevel: 9 })), chunk("IEND", Buffer.alloc(0))]);
}

/** Undoes the filters of the PNG specification: each byte was stored as the difference to a guess made of its neighbours. */
function unfiltered(raw, stride, step) {
  const out = Buffer.alloc((raw.length / (stride + 1)) * stride);
  for (let from = 0, to = 0; from < raw.length; from++, to += stride) {
    const filter = raw[from];
    for (let x = 0; x < stride; x++) {
      const left = x >= step ? out[to + x - step] : 0;
      const up = to > 0 ? out[to + x - stride] : 0;
      const corner = x >= step && to > 0 ? out[to + x - stride - step] : 0;
      out[to + x] = raw[++from] + [0, left, up, (left + up) >> 1, paeth(left, up, corner)][filter];
    }
  }
  return out;
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [a, b, c] = [left, up, corner].map((value) => Math.abs(guess - value));
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

function nearest(palette, colour) {
  const far = (other) => [16, 8, 0].reduce((sum, shift) => sum + (((colour >> shift) & 255) - ((other >> shift) & 255)) ** 2, 0);
  return palette.reduce((best, other, i) => (far(other) < far(palette[best]) ? i : best), 0);
}

function chunk(type, data) {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
