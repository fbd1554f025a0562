/** The worker of `npm run dev`, whose page is no script of its own (dev_page.ts). */

import { serveModel } from "./worker.ts";

serveModel();
