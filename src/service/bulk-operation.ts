import type { Actor } from '../domain/actor.ts'
import { BODIES } from '../domain/bodies.ts'
import { TRANSITIONS, type Callable } from '../domain/machine.ts'
import { Problem } from '../domain/problems.ts'
import { actOnEach } from './bulk.ts'
import type { Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { countUpTo, list, type ListFilter } from './list.ts'
import { startOperation, type Task, type Work } from './operations.ts'

/** One verb on all that a list shows: too many for one answer, so it is done in the background. */

export const BULK = 'bulk'

/** Of one operation. */
const MOST = 10_000
/** Of one step. */
const AT_ONCE = 50

interface Input {
  verb: Callable
  filter: Omit<ListFilter, 'filedFrom' | 'filedTo'> & { filedFrom?: string | undefined; filedTo?: string | undefined }
  body: object
}

/**
 * @returns the operation, to be followed under /v1/operations
 * @throws Problem too-many when the filter finds more than 10,000; what `list` throws
 */
export async function startBulk(db: Db, keyring: Keyring, verb: Callable, filter: ListFilter, body: object, actor: Actor): Promise<string> {
  const total = await countUpTo(db, filter, actor, MOST + 1, keyring)
  if (total > MOST) throw new Problem('too-many', { facts: { most: MOST } })
  return startOperation(db, keyring, BULK, { verb, filter, body }, actor, { total })
}

/** Walks the list from the newest on; each request once, under the operation's own key, also when a step is done again after a crash. */
export const bulkWork = (db: Db, keyring: Keyring): Work => async ({ id, input, actor, position }: Task) => {
  const { verb, filter, body } = checked(input as Input)
  const { data, page } = await list(db, { ...filter, limit: AT_ONCE, ...(position === null ? {} : { cursor: position }) }, actor, keyring)
  const outcomes = await actOnEach(db, keyring, verb, data.map((request) => request.id), body as never, actor, `operation/${id}`)
  const failed = outcomes.flatMap(({ ref, error }) => (error === undefined ? [] : [{ at: ref, code: error instanceof Problem ? error.code : 'internal' }]))
  return { done: data.length, failed, position: page.nextCursor, ended: !page.hasMore }
}

/** As it was when it was started: a verb or a body that this version of the program does not know any more is refused. */
function checked({ verb, filter, body }: Input): { verb: Callable; filter: ListFilter; body: object } {
  if (!TRANSITIONS.includes(verb)) throw new Problem('transition-refused')
  const parsed = BODIES[verb].safeParse(body)
  if (!parsed.success) throw new Problem('validation-failed')
  const { filedFrom, filedTo, ...rest } = filter
  return { verb, body: parsed.data as object, filter: { ...rest, filedFrom: filedFrom === undefined ? undefined : new Date(filedFrom), filedTo: filedTo === undefined ? undefined : new Date(filedTo) } }
}
