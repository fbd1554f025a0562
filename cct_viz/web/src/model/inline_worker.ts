/**
 * The worker's script lies in the page as a text and starts from a Blob: a page that is opened from disk fetches
 * nothing.
 */

import InlineWorker from "./worker.ts?worker&inline";

export const createWorker = (): Worker => new InlineWorker();
