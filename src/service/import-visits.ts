import { v7 as uuidv7 } from 'uuid'
import { openZone } from '../domain/calendar-zone.ts'
import type { ReadRow } from '../domain/imports.ts'
import { Problem } from '../domain/problems.ts'
import { isAhead, walks, type Visit, type VisitResult } from '../domain/visits.ts'
import { inOneTransaction } from './db.ts'
import { file } from './filing.ts'
import { findByDoors } from './households.ts'
import { knownSlip, knownVisits, refOf } from './import-known.ts'
import { at, refusal, type Outcomes, type WriteContext, type Writer } from './import-row.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { findNodes } from './targets.ts'
import { tenant } from './tenants.ts'
import { clock, fileNeed, fileVisit, isToCome, keepNeeds, printOf, takeDownVisits, type NewVisit } from './visits.ts'

/** A day's visits and mailbox slips: what they name is looked up for all rows at once, each need is filed by itself, and all visits are one statement. */

type Given = { source: string; node: string; at: string; result?: VisitResult } & Partial<Record<'door' | 'item' | 'title' | 'description' | 'filerName' | 'filerPhone' | 'outcome', string>>
type Place = { id: string; path: string }

interface Walk {
  visit: Visit
  place: Place
  print: Buffer
}

export const writeVisits: Writer = async (context, rows) => {
  const { db, keyring, actor, number } = context
  const outcomes: Outcomes = new Map()
  if (actor.kind !== 'person') return new Map(rows.map((row) => [row, new Problem('forbidden')]))
  const [places, { settings: { zone } }] = [await findNodes(db, rows.map(({ values }) => String(values.node))), await tenant(db)]
  const doors = rows.flatMap((row) => {
    const { node, door } = row.values as Given
    return door === undefined || !places.has(node) ? [] : [{ row, nodeId: places.get(node)!.id, door }]
  })
  const found = await findByDoors(db, keyring, doors)
  const households = new Map(doors.flatMap(({ row }, index) => (found[index] === undefined ? [] : [[row, found[index]]])))
  const [known, now] = [await knownVisits(db, [...households].map(([row, household]) => refOf(household, row)), actor), await clock(db)]
  const quick: { row: ReadRow; one: NewVisit; requestId: string | undefined }[] = []
  for (const row of rows) {
    const given = row.values as Given
    const place = places.get(given.node)
    const write = async (): Promise<string | undefined> => {
      if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
      const collectedAt = instantOf(zone, given.at)
      if (given.source === 'mailbox') return slip(context, row, place, collectedAt, now)
      const walk = walkOf(row, place, households.get(row), collectedAt)
      // Who is linked to a door and looks after nothing else comes by the narrow way.
      if (!walks(actor, place.path)) return slowly(context, walk, row)
      if (isAhead(collectedAt, now)) throw isToCome()
      const before = known.get(walk.visit.clientId)
      if (before && !before.fingerprint.equals(walk.print)) throw isAnother()
      if (before) return before.id
      const requestId = walk.visit.needs && await inOneTransaction(db, async () => fileNeed(db, keyring, place.id, walk.visit, 0, await number(row.row), actor))
      quick.push({ row, one: newVisit(walk), requestId })
      return undefined
    }
    const outcome = await write().catch(refusal)
    if (outcome !== undefined) outcomes.set(row, outcome)
  }
  if (quick.length === 0) return outcomes
  const taken = await takeDownVisits(db, quick.map(({ one }) => one), actor)
  // A twin of the same visitor was faster: found done when the step is tried again.
  if (taken.size < quick.length) throw new Problem('overloaded')
  await keepNeeds(db, quick.flatMap(({ one, requestId }) => (requestId === undefined ? [] : [{ visitId: one.id, n: 0, requestId }])))
  for (const { row, one } of quick) outcomes.set(row, one.id)
  return outcomes
}

async function slip({ db, keyring, actor, number }: WriteContext, row: ReadRow, place: Place, collectedAt: Date, now: Date): Promise<string> {
  const given = row.values as Given
  const need = needOf(given)
  if (!need) throw at('/title', 'required', '信报箱的诉求须填写服务项目代码和标题', 'A slip needs an item and a title')
  if (isAhead(collectedAt, now)) throw at('/visitedAt', 'value', '收集时间在将来', 'It was collected in the future')
  const known = walks(actor, place.path) ? await knownSlip(db, keyring, place.id, need, collectedAt, row) : undefined
  if (known) return known.id
  return (await inOneTransaction(db, async () => file(db, { ...need, node: given.node, source: 'mailbox', collectedAt }, actor, { keyring, number: await number(row.row) }))).id
}

function walkOf(row: ReadRow, place: Place, household: string | undefined, visitedAt: Date): Walk {
  const given = row.values as Given
  const need = needOf(given)
  if (given.result === undefined) throw at('/result', 'required', '走访须填写走访结果', 'A visit needs its result')
  if (need && given.result !== 'met') throw at('/result', 'value', '没有见到人，不会有诉求', 'Nobody was met: there are no needs')
  if (household === undefined) throw at('/door', 'value', '没有登记这一户', 'No such household')
  const visit = { clientId: refOf(household, row), household, visitedAt, result: given.result, ...(need && { needs: [need] }) }
  return { visit, place, print: printOf(visit) }
}

const slowly = async ({ db, keyring, actor, number }: WriteContext, { visit }: Walk, { row }: ReadRow): Promise<string> =>
  (await inOneTransaction(db, async () => fileVisit(db, keyring, visit, actor, visit.needs && await number(row))).catch((error: unknown) => { throw error instanceof Problem && error.code === 'client-id-reused' ? isAnother() : error })).id

const newVisit = ({ visit: { clientId: clientRef, household, result, visitedAt }, place: { path }, print }: Walk): NewVisit => ({ id: uuidv7(), household, path, clientRef, print, result, visitedAt })

const isAnother = (): Problem => at('/visitedAt', 'taken', '这次走访已经导入过，内容与这一行不同', 'This visit was imported before, and said something else')

/** @param local `2026-11-21 09:30`, as clocks there show it */
const instantOf = (zone: string, local: string): Date => new Date(openZone(zone).instantOf(Date.parse(`${local.replace(' ', 'T')}:00Z`)))

function needOf({ item, title, description, filerName, filerPhone, outcome }: Partial<Record<'item' | 'title' | 'description' | 'filerName' | 'filerPhone' | 'outcome', string>>) {
  if (item === undefined && title === undefined && outcome === undefined && description === undefined) return undefined
  if (item === undefined) throw at('/item', 'required', '须填写服务项目代码', 'An item is required')
  if (title === undefined) throw at('/title', 'required', '须填写标题', 'A title is required')
  if (filerPhone !== undefined && filerName === undefined) throw at('/filer', 'required', '填写了电话，须填写诉求人', 'A phone needs a name')
  return {
    item, title, ...(description !== undefined && { description }), ...(filerName !== undefined && { filer: { name: filerName, ...(filerPhone !== undefined && { phone: filerPhone }) } }),
    ...(outcome !== undefined && { resolvedOnSpot: { outcome } }),
  }
}
