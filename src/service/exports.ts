import { covers, type Actor, type PersonActor } from '../domain/actor.ts'
import { decidedTrees, inPerson } from '../domain/directory.ts'
import { HEADINGS, localTimes, type ExportFormat, type ExportList } from '../domain/exports.ts'
import { secures } from '../domain/places.ts'
import type { RevealReason } from '../domain/privacy.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { exportRows, type ExportFilter } from './export-rows.ts'
import type { Keyring } from './keyring.ts'
import { readNode } from './nodes.ts'
import { rootOf, tenant } from './tenants.ts'

/** 导出: what a list shows, all of it, a page at a time while it is read. */

export interface ExportQuery extends ExportFilter {
  format: ExportFormat
  /** Names and phones in clear, for this reason. */
  reveal?: RevealReason | undefined
}

export interface Exported {
  headings: readonly string[]
  pages: AsyncIterable<string[][]>
}

/** Whose lists are whose: enrolments are read by who decides on them, all others by who sees the place. */
const treesOf = (list: ExportList, actor: PersonActor): string[] => (list === 'enrolments' ? decidedTrees(actor)
  : actor.duties.filter(({ organisationId, capabilities }) => organisationId === null && capabilities.includes('view')).map(({ path }) => path))

/**
 * On record before the first byte. The first page is read at once, so that what is wrong is a problem and no torn file.
 * @throws Problem forbidden without `view` over the place (of enrolments: unless the actor decides there); for names in clear, unless the actor
 *   looks after its accounts in person
 */
export async function openExport({ db, keyring }: { db: Db; keyring: Keyring }, list: ExportList, query: ExportQuery, actor: Actor): Promise<Exported> {
  const { format, reveal, node, ...filter } = query
  const trees = actor.kind === 'person' ? treesOf(list, actor) : []
  if (actor.kind !== 'person' || trees.length === 0) throw new Problem('forbidden')
  const place = node === undefined ? undefined : await readNode(db, node)
  if (place && !trees.some((path) => covers(path, place.path))) throw new Problem('forbidden', { errors: [{ pointer: '/query/node', message: says('不在您的管辖范围', 'Not a place of yours') }] })
  if (reveal !== undefined && !(inPerson(actor) && secures(actor, place?.path ?? (await readNode(db, await rootOf(db))).path))) {
    throw new Problem('forbidden', { errors: [{ pointer: '/query/reveal', message: says('只有该地点的管理员本人可以导出明文', 'Only an administrator of the place, in person, exports in clear') }] })
  }
  const time = localTimes((await tenant(db)).settings.zone)
  await account(db.app, actor, { action: 'export.made', object: 'export', details: { list, format, node: place?.code ?? null, revealed: reveal ?? null } })
  const reading = bound(exportRows(list, { db, keyring, filter: { node, ...filter }, unmasked: reveal && { reason: reveal, actor }, actor, time }))
  const first = await reading.next()
  return { headings: HEADINGS[list], pages: from(first, reading) }
}

async function* from(first: IteratorResult<string[][]>, rest: AsyncGenerator<string[][]>): AsyncGenerator<string[][]> {
  if (first.done) return
  yield first.value
  yield* rest
}

/** Whoever reads the stream does so from the socket's events, which belong to no tenant. */
async function* bound(pages: AsyncGenerator<string[][]>): AsyncGenerator<string[][]> {
  const tenantId = tenantHere()
  try {
    for (;;) {
      const { done, value } = await inTenant(tenantId, () => pages.next())
      if (done) return
      yield value
    }
  } finally {
    await pages.return(undefined)
  }
}
