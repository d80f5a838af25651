import { OUT_OF_REACH } from '../domain/calendar.ts'
import type { OnDue, Step } from '../domain/machine.ts'
import { ladderFrom } from '../domain/late.ts'
import { readPolicy, type Policy } from '../domain/policy.ts'
import { preview, type StepPreview } from '../domain/preview.ts'
import { Problem } from '../domain/problems.ts'
import type { Rung } from '../domain/request.ts'
import { calendars } from './calendars.ts'
import { tenantHere, type Db } from './db.ts'
import { NO_SUCH_NODE } from './nodes.ts'
import { places, type Place } from './places.ts'
import { checkPolicy, now } from './policies.ts'
import { roster } from './roster.ts'
import { findNode } from './targets.ts'
import { rootOf, tenant } from './tenants.ts'

export interface PreviewQuery {
  code: string
  /** Id or code; without one, the tenant's levels stand for the ladder. */
  node?: string | undefined
  /** Without one, what is in force at the node (else at the root). */
  body?: Policy | undefined
  /** When every step opens; the present when left out. */
  from?: Date | undefined
}

export interface PreviewedRung {
  level: string
  levelName: string
  node: Place | null
  at: Date | null
  skipped: 'vacant' | 'same-person' | null
}

export interface PreviewedStep extends Omit<StepPreview, 'rungs'> {
  step: Step
  onDue: OnDue
  rungs: PreviewedRung[]
}

/**
 * What a policy means: every deadline, reminder and rung with its time, by the place's calendar and its ladder as it is held now.
 * @throws Problem node-unknown, not-found when no policy of this code is in force there, validation-failed as `putPolicy`, and at /from
 */
export async function previewPolicy(db: Db, { code, node, body, from }: PreviewQuery): Promise<{ from: Date; steps: PreviewedStep[] }> {
  const place = await findNode(db, node ?? await rootOf(db))
  if (!place) throw new Problem('node-unknown', { errors: [{ pointer: '/node', message: NO_SUCH_NODE }] })
  if (body) await checkPolicy(db, body, place.path)
  const [policy, { at }, start, { settings: { levels } }] = await Promise.all([body ?? inForce(db, code, place.path), calendars(db), from ?? now(db), tenant(db)])
  const ladder = node === undefined ? ladderOfLevels(levels.map((level) => level.code)) : ladderFrom(place.path, await roster(db, [place.path], []))
  const shown = await places(db, node === undefined ? [] : ladder.map(({ nodeId }) => nodeId))
  const steps = reached(() => preview(policy, at(place.path), start, ladder)).map((step) => ({
    ...step,
    rungs: step.rungs.map(({ rung: { nodeId, level }, ...rung }) => ({
      ...rung, level, levelName: levels.find((each) => each.code === level)?.name ?? level, node: node === undefined ? null : shown(nodeId).node,
    })),
  }))
  return { from: start, steps }
}

function reached<T>(look: () => T): T {
  try {
    return look()
  } catch (error) {
    throw error instanceof RangeError ? new Problem('validation-failed', { errors: [{ pointer: '/from', code: 'invalid', message: OUT_OF_REACH }], cause: error }) : error
  }
}

/** As if every level had its holder: from the finest up. */
const ladderOfLevels = (levels: string[]): Rung[] =>
  levels.map((level, depth) => ({ nodeId: level, path: `${levels.slice(0, depth + 1).join('/')}/`, level, holders: [level] })).reverse()

async function inForce(db: Db, code: string, path: string): Promise<Policy> {
  const { rows: [row] } = await db.app.query<{ body: unknown }>({
    name: 'policy_in_force',
    text: `SELECT p.body FROM policy p JOIN node n ON n."tenantId" = p."tenantId" AND n.id = p."nodeId"
      WHERE p."tenantId" = $1 AND p.code = $2 AND n.code = ANY (string_to_array($3, '/')) ORDER BY length(n.path) DESC, p.version DESC LIMIT 1`,
    values: [tenantHere(), code, path],
  })
  if (!row) throw new Problem('not-found')
  return readPolicy(row.body)
}
