import type { Actor, PersonActor } from '../domain/actor.ts'
import { capacity } from '../domain/actor.ts'
import { inPerson } from '../domain/directory.ts'
import { disarmed, HEADINGS, localTimes, type ExportFormat, type ExportList } from '../domain/exports.ts'
import { secures } from '../domain/places.ts'
import type { RevealReason } from '../domain/privacy.ts'
import { Problem, says } from '../domain/problems.ts'
import { account } from './audit.ts'
import type { Page } from './cursor.ts'
import { inTenant, tenantHere, type Db } from './db.ts'
import { listHouseholds } from './households.ts'
import type { Keyring } from './keyring.ts'
import { ledgerWriter } from './ledger.ts'
import { listIds, type ListFilter } from './list.ts'
import { readNode } from './nodes.ts'
import { listPeople } from './people.ts'
import { rootOf, tenant } from './tenants.ts'
import { listVisits } from './visit-coverage.ts'

/** 导出: what a list shows, all of it, a page at a time while it is read. */

export interface ExportQuery extends Pick<ListFilter, 'node' | 'state' | 'kind' | 'item' | 'overdue' | 'filedFrom' | 'filedTo'> {
  format: ExportFormat
  /** Names and phones in clear, for this reason. */
  reveal?: RevealReason | undefined
}

export interface Exported {
  headings: readonly string[]
  pages: AsyncIterable<string[][]>
}

/** Rows that are read and written together. */
const PAGE = 500

/**
 * On record before the first byte. The first page is read at once, so that what is wrong is a problem and no torn file.
 * @throws Problem forbidden without `view` over the place; for names in clear, unless the actor looks after its accounts in person
 */
export async function openExport({ db, keyring }: { db: Db; keyring: Keyring }, list: ExportList, query: ExportQuery, actor: Actor): Promise<Exported> {
  const { format, reveal, node, ...filter } = query
  if (actor.kind !== 'person' || !actor.duties.some(({ organisationId, capabilities }) => organisationId === null && capabilities.includes('view'))) throw new Problem('forbidden')
  const place = node === undefined ? undefined : await readNode(db, node)
  if (place && !capacity(actor, 'view', place.path)) throw new Problem('forbidden', { errors: [{ pointer: '/query/node', message: says('不在您的管辖范围', 'Not a place of yours') }] })
  if (reveal !== undefined && !(inPerson(actor) && secures(actor, place?.path ?? (await readNode(db, await rootOf(db))).path))) {
    throw new Problem('forbidden', { errors: [{ pointer: '/query/reveal', message: says('只有该地点的管理员本人可以导出明文', 'Only an administrator of the place, in person, exports in clear') }] })
  }
  const pages = await pagesOf({ db, keyring }, list, { node, ...filter }, reveal, actor)
  await account(db.app, actor, { action: 'export.made', object: 'export', details: { list, format, node: place?.code ?? null, revealed: reveal ?? null } })
  const reading = bound(pages)
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

async function pagesOf({ db, keyring }: { db: Db; keyring: Keyring }, list: ExportList, filter: Omit<ExportQuery, 'format' | 'reveal'>, reveal: RevealReason | undefined, actor: PersonActor): Promise<AsyncGenerator<string[][]>> {
  const { node } = filter
  const time = localTimes((await tenant(db)).settings.zone)
  const written = <T>(read: (cursor: string | undefined) => Promise<Page<T>>, row: (one: T) => (string | null)[]) =>
    walked(read, (data) => Promise.resolve(data.map((one) => row(one).map((cell) => disarmed(cell ?? '')))))
  if (list === 'people') {
    return written((cursor) => listPeople(db, keyring, { node, cursor, limit: PAGE }, actor),
      ({ login, name, phone, door, node: at, hasAccount, createdAt }) => [login, name, phone, door, at?.name ?? null, hasAccount ? '是' : '否', time(createdAt)])
  }
  if (list === 'households') {
    return written((cursor) => listHouseholds(db, keyring, { node, cursor, limit: PAGE }, actor),
      ({ id, node: at, door, links, visitedAt, dueAt }) => [id, at.code, at.name, door, String(links.length), time(visitedAt), time(dueAt)])
  }
  if (list === 'visits') {
    const words = { met: '见到', not_home: '无人', refused: '谢绝' }
    return written((cursor) => listVisits(db, { node, cursor, limit: PAGE }, actor),
      ({ clientId, household, person, result, visitedAt, filedAt, requests }) => [clientId, household, person, words[result], time(visitedAt), time(filedAt), requests.map(({ number }) => number).join(' ')])
  }
  const write = (await ledgerWriter(db, keyring, reveal === undefined ? undefined : { reason: reveal, actor }))[list]
  return walked((cursor) => listIds(db, { ...filter, limit: PAGE, ...(cursor !== undefined && { cursor }) }, actor), write)
}

async function* walked<T>(read: (cursor: string | undefined) => Promise<Page<T>>, write: (data: T[]) => Promise<string[][]>): AsyncGenerator<string[][]> {
  let cursor: string | undefined
  do {
    const { data, page } = await read(cursor)
    yield await write(data)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}
