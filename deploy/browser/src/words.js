// The default word boundaries of UAX #29: a browser's Intl.Segmenter is tailored (Chromium cuts "e.g"), this is not.
export { split } from "unicode-default-word-boundary";
