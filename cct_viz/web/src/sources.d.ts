/** The texts of files of this folder, separated by "\0", compressed together, in base64 (page_texts.ts). */
declare module "sources:*" {
  const text: string;
  export default text;
}
