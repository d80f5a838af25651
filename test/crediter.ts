import { creditOnce } from '../src/service/credit-entries.ts'
import { openDatabase } from '../src/service/db.ts'
import { countOnce } from '../src/service/rate-facts.ts'

/** A worker that does nothing but count and credit, so that it can be killed: `crediter.ts <database url> <batch>`. Says each batch it has committed. */

const [, , url, batch] = process.argv
const db = openDatabase({ url: url! })
for (;;) {
  const [credited, counted] = [await creditOnce(db, Number(batch)), await countOnce(db, Number(batch))]
  if (credited + counted === 0) break
  console.info(`read ${credited} ${counted}`)
}
await db.close()
