import { openDatabase } from '../src/service/db.ts'
import { rescheduleOnce } from '../src/service/rescheduling-walk.ts'

/** A worker that does nothing but walk, so that it can be killed: `walker.ts <database url> <batch>`. Says each batch it has committed. */

const [, , url, batch] = process.argv
const db = openDatabase({ url: url! })
for (;;) {
  const walked = await rescheduleOnce(db, { batch: Number(batch) })
  if (!walked) break
  console.info(`moved ${walked.moved}`)
}
await db.close()
