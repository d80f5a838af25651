import type { PersonActor } from '../domain/actor.ts'
import {
  CLAIMER_WORDS, disarmed, ENROLMENT_WORDS, GRADE_WORDS, KIND_WORDS, localTimes, MODE_WORDS, TIE_WORDS, type ExportList,
} from '../domain/exports.ts'
import { maskDoor } from '../domain/masks.ts'
import { ORGANISATION_KINDS } from '../domain/organisations.ts'
import { listEnrolments } from './affiliations.ts'
import { listCampaigns } from './campaigns.ts'
import { rungsBelow } from './contacts.ts'
import { ranking, type Holder } from './credit.ts'
import type { Page } from './cursor.ts'
import { tenantHere, type Db } from './db.ts'
import { listDuties } from './duties.ts'
import { openPeople, type Unmasked } from './export-reveals.ts'
import { listHouseholds } from './households.ts'
import { listItems } from './items.ts'
import type { Keyring } from './keyring.ts'
import { ledgerWriter } from './ledger.ts'
import { listIds, type ListFilter } from './list.ts'
import { listNodes, readNode, type NodeView } from './nodes.ts'
import { listOrganisations } from './organisations.ts'
import { listPeople } from './people.ts'
import { parties } from './rate-groups.ts'
import { listHolders, listSkills } from './skills.ts'
import { openSubjects } from './subjects.ts'
import { listVenues } from './venues.ts'
import { listVisits } from './visit-coverage.ts'
import type { VisitView } from './visits.ts'

/** What each list is exported from, and its rows in the columns of `HEADINGS`. */

export interface ExportFilter extends Pick<ListFilter, 'node' | 'state' | 'kind' | 'item' | 'campaign' | 'overdue' | 'filedFrom' | 'filedTo'> {
  /** Of 积分: of whom, and the days, both included. */
  of?: Holder | undefined
  from?: string | undefined
  to?: string | undefined
}

export interface Ask {
  db: Db
  keyring: Keyring
  filter: ExportFilter
  /** Names and phones in clear: that he may has been decided. */
  unmasked: Unmasked | undefined
  actor: PersonActor
  time: ReturnType<typeof localTimes>
}

type Cells = readonly (string | number | boolean | null)[]
type Rows = AsyncGenerator<Cells[]>

/** Rows that are read and written together. */
const PAGE = 500
/** More holders of credit than any street has people on duty. */
const MOST_RANKED = 100_000

/** A page at a time, as text that no spreadsheet works out. */
export async function* exportRows(list: ExportList, ask: Ask): AsyncGenerator<string[][]> {
  for await (const rows of LISTS[list](ask)) yield rows.map((row) => row.map((cell) => disarmed(cell === null ? '' : typeof cell === 'boolean' ? (cell ? '是' : '否') : String(cell))))
}

async function* walked<T>(read: (cursor: string | undefined) => Promise<Page<T>>, write: (data: T[]) => Cells[] | Promise<Cells[]>): Rows {
  let cursor: string | undefined
  do {
    const { data, page } = await read(cursor)
    yield await write(data)
    cursor = page.nextCursor ?? undefined
  } while (cursor !== undefined)
}

const each = <T>(read: (cursor: string | undefined) => Promise<Page<T>>, row: (one: T) => Cells): Rows => walked(read, (data) => data.map(row))

const RESULTS = { met: '见到', not_home: '无人', refused: '谢绝' } as const

const LISTS: Readonly<Record<ExportList, (ask: Ask) => Rows>> = {
  requests: (ask) => requestRows('requests', ask),
  ledger: (ask) => requestRows('ledger', ask),
  visits: ({ db, keyring, filter: { node }, actor, time }) => walked((cursor) => listVisits(db, { node, cursor, limit: PAGE }, actor), (visits) => visitRows(db, keyring, visits, time)),
  people: (ask) => walked((cursor) => listPeople(ask.db, ask.keyring, { node: ask.filter.node, cursor, limit: PAGE }, ask.actor), async (people) => {
    const clear = ask.unmasked && await openPeople(ask.db, ask.keyring, people.map(({ id }) => id), ask.unmasked)
    return people.map(({ id, login, node: at, hasAccount, createdAt, ...masked }) => {
      const { name, phone, door } = clear?.get(id) ?? masked
      return [login, name ?? null, phone ?? null, door ?? null, at?.name ?? null, hasAccount, ask.time(createdAt)]
    })
  }),
  households: ({ db, keyring, filter: { node }, actor, time }) => each((cursor) => listHouseholds(db, keyring, { node, cursor, limit: PAGE }, actor),
    ({ id, node: at, door, links, visitedAt, dueAt }) => [id, at.code, at.name, door, links.length, time(visitedAt), time(dueAt)]),
  nodes: nodeRows,
  organisations: ({ db, filter: { node } }) => each((cursor) => listOrganisations(db, { under: node, cursor, limit: PAGE }),
    ({ code, name, kind, uscc, node: at }) => [code, name, ORGANISATION_KINDS[kind], uscc, at.code, at.name]),
  duties: ({ db, keyring, filter: { node }, actor, time }) => each((cursor) => listDuties(db, keyring, { node, cursor, limit: PAGE }, actor),
    ({ person, role, node: at, organisation, secondedFrom, from, to, standIn }) => [
      person.login, person.name, role.name, at.code, at.name, organisation?.name ?? null, secondedFrom?.name ?? null, time(from), time(to),
      standIn?.person.login ?? null, standIn?.person.name ?? null, time(standIn?.from ?? null), time(standIn?.to ?? null),
    ]),
  contacts: contactRows,
  enrolments: ({ db, keyring, filter: { node }, actor, time }) => each((cursor) => listEnrolments(db, keyring, { node, cursor, limit: PAGE }, actor),
    ({ kind, tie, organisation, person, state, appliedAt, verifiedAt, endedAt }) => [
      CLAIMER_WORDS[kind], tie === null ? null : TIE_WORDS[tie], organisation.code, organisation.name, person.login, person.name, ENROLMENT_WORDS[state], time(appliedAt), time(verifiedAt), time(endedAt),
    ]),
  skills: skillRows,
  items: ({ db }) => each((cursor) => listItems(db, { cursor, limit: PAGE }),
    ({ code, name, kind, mode, category, policy, wall, grade, proof, review, skills, form, version }) =>
      [code, name, KIND_WORDS[kind], MODE_WORDS[mode], category, policy, wall, grade === null ? null : GRADE_WORDS[grade], proof, review, skills.join(' '), form !== null, version]),
  venues: ({ db, filter: { node } }) => each((cursor) => listVenues(db, { node, cursor, limit: PAGE }),
    ({ name, node: at, address, hours, wall }) => [name, at.code, at.name, address, hours, wall.code]),
  campaigns: ({ db, filter: { node }, actor, time }) => each((cursor) => listCampaigns(db, { node, cursor, limit: PAGE }, actor),
    ({ code, name, node: at, from, to, progress, targets, capacity, signedUp }) => [
      code, name, at.code, at.name, time(from), time(to), progress.filed, progress.completed, progress.beneficiaries, targets.filed, targets.completed, targets.beneficiaries, capacity, signedUp,
    ]),
  credit: creditRows,
}

async function* requestRows(list: 'requests' | 'ledger', { db, keyring, filter: { of: _, from: __, to: ___, ...filter }, unmasked, actor }: Ask): Rows {
  const write = (await ledgerWriter(db, keyring, unmasked))[list]
  yield* walked((cursor) => listIds(db, { ...filter, limit: PAGE, ...(cursor !== undefined && { cursor }) }, actor), write)
}

/** The place itself, then what lies below. */
async function* nodeRows({ db, filter: { node } }: Ask): Rows {
  const row = ({ code, name, levelName, parent, lng, lat }: NodeView): Cells => [code, name, levelName, parent?.code ?? null, lng, lat, lng === null ? null : 'wgs84']
  if (node !== undefined) yield [row(await readNode(db, node))]
  yield* each((cursor) => listNodes(db, { under: node, cursor, limit: PAGE }), row)
}

/** What the boards of a place and of all below it show whoever lives there: no more than was consented to. */
async function* contactRows({ db, keyring, filter: { node } }: Ask): Rows {
  yield* walked((cursor) => rungsBelow(db, keyring, { node, cursor, limit: PAGE }), (rungs) => rungs.flatMap(({ node: at, levelName, vacant, contacts, organisations }): Cells[] => [
    ...(vacant ? [[at.code, at.name, levelName, true, null, null, null, null, null]] : []),
    ...[{ name: null, contacts }, ...organisations].flatMap((of) => of.contacts.map(({ role, standIn, name, phone }) => [at.code, at.name, levelName, false, role.name, of.name, name, phone, standIn])),
  ]))
}

async function* skillRows({ db, keyring, actor, time }: Ask): Rows {
  for (const { code } of await listSkills(db)) {
    yield* each((cursor) => listHolders(db, keyring, code, { cursor, limit: PAGE }, actor),
      ({ skill, person, organisation, level, declaredAt, verifiedAt }) => [skill.code, skill.name, person?.login ?? null, person?.name ?? null, organisation?.name ?? null, level, time(declaredAt), time(verifiedAt)])
  }
}

async function* creditRows({ db, keyring, filter: { node, of = 'person', from, to }, actor }: Ask): Rows {
  const { data, ...period } = await ranking(db, keyring, { node, of, from, to, limit: MOST_RANKED }, actor)
  yield data.map(({ rank, holder, points, works }) => [rank, holder.name, points, works, period.from, period.to])
}

/** Doors masked: who knocks there finds them in the app. */
async function visitRows(db: Db, keyring: Keyring, visits: readonly VisitView[], time: Ask['time']): Promise<Cells[]> {
  const [{ rows }, people, { rows: logins }] = await Promise.all([
    db.app.query<{ id: string; code: string; name: string; subjectId: string }>({
      name: 'exported_households', values: [tenantHere(), visits.map(({ household }) => household)],
      text: `SELECT h.id, n.code, n.name, h."subjectId" FROM household h JOIN node n ON n."tenantId" = h."tenantId" AND n.id = h."nodeId" WHERE h."tenantId" = $1 AND h.id = ANY ($2::uuid[])`,
    }),
    parties(db, keyring, visits.map(({ person }) => person)),
    db.app.query<{ id: string; login: string | null }>({ name: 'exported_logins', text: `SELECT id, login FROM person WHERE "tenantId" = $1 AND id = ANY ($2::uuid[])`, values: [tenantHere(), visits.map(({ person }) => person)] }),
  ])
  const [doors, at, login] = [await openSubjects(db, keyring, rows.map(({ subjectId }) => subjectId)), new Map(rows.map((row) => [row.id, row])), new Map(logins.map((row) => [row.id, row.login]))]
  return visits.map(({ clientId, household, person, result, visitedAt, filedAt, requests }) => {
    const place = at.get(household)
    const door = place && doors.get(place.subjectId)?.door
    return [
      clientId, place?.code ?? null, place?.name ?? null, door === undefined ? null : maskDoor(door), login.get(person) ?? null, people.get(person)?.name ?? null,
      RESULTS[result], time(visitedAt), time(filedAt), requests.map(({ number }) => number).join(' '),
    ]
  })
}
