/** A file's text, compressed, in base64 (page_texts.ts). */
declare module "*?deflate" {
  const text: string;
  export default text;
}
