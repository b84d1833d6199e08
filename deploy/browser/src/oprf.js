// Of @noble/curves: VOPRF(ristretto255, SHA-512) of RFC 9497, and the group, for filling requests up.
export { ristretto255, ristretto255_hasher, ristretto255_oprf } from "@noble/curves/ed25519.js";
export { hmac } from "@noble/hashes/hmac.js";
export { sha256 } from "@noble/hashes/sha2.js";
