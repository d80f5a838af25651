import { z } from 'zod'
import { int4 } from './atoms.ts'
import type { Told } from './rate-facts.ts'
import { GRADES, KINDS, type Grade, type Kind } from './rows.ts'

/**
 * 积分 (双报到: 岐山、海宁; domain.md 1.3, 3.1.10): for work that was done and closed, never for having claimed it. What is done
 * again because it was not done is taken back; the new cycle earns by itself. One piece of work earns once: what was merged
 * goes with its lead and earns nothing of its own.
 */
export const creditSchema = z.strictObject({
  /** Points of a lead, by kind of request. */
  kinds: z.partialRecord(z.enum(KINDS), int4({ min: 0, max: 10_000 })).optional(),
  /** On top of it, by grade. */
  grades: z.partialRecord(z.enum(GRADES), int4({ min: 0, max: 10_000 })).optional(),
  /** Percent of it for what was realised in part. */
  partly: int4({ min: 0, max: 100 }).optional(),
  /** Percent of it for each co-handler who has done his part. */
  co: int4({ min: 0, max: 100 }).optional(),
  /** For a lead whose work is rated 满意. */
  satisfied: int4({ min: 0, max: 10_000 }).optional(),
})

export type CreditSettings = z.infer<typeof creditSchema>

const SHIPPED = {
  kinds: { wish: 10, service: 5, errand: 8, mediation: 15, suggestion: 2, activity: 5 },
  grades: { major: 10, minor: 0, practical: 0, urgent: 5, difficult: 10 },
  partly: 50, co: 50, satisfied: 2,
} as const satisfies Required<CreditSettings>

export const CREDIT_REASONS = {
  work: '主办办结', co: '协办完成', satisfied: '评价满意', member_home: '成员（组织关系所在）', member_residence: '成员（居住地报到）', member: '成员',
} as const
export type CreditReason = keyof typeof CREDIT_REASONS
export const CREDIT_REASON_NAMES = Object.keys(CREDIT_REASONS) as [CreditReason, ...CreditReason[]]

/** Who had a part in it: a person, or an organisation and who of it went. */
export interface Worker {
  personId: string | null
  organisationId: string | null
  memberId: string | null
}

interface Done extends Worker {
  role: 'lead' | 'co'
  until: Date | null
}

export interface Work {
  kind: Kind
  grade: Grade | null
  events: readonly Told[]
  /** Leads and co-handlers who are done. */
  done: readonly Done[]
}

/** At an event somebody has earned something, or a cycle is taken back. */
export type Earned =
  | { seq: number; cycle: number; at: Date; path: string; workedAt: Date; reason: 'work' | 'co' | 'satisfied'; worker: Worker; points: number }
  | { seq: number; cycle: number; at: Date; takenBack: true }

/** In the order of the events: what more has happened adds to it and changes nothing. */
export function earned({ kind, grade, events, done }: Work, settings: CreditSettings = {}): Earned[] {
  const { kinds, grades, partly = SHIPPED.partly, co = SHIPPED.co, satisfied = SHIPPED.satisfied } = settings
  const whole = (kinds?.[kind] ?? SHIPPED.kinds[kind]) + (grade === null ? 0 : (grades?.[grade] ?? SHIPPED.grades[grade]))
  return [...new Set(events.map(({ cycle }) => cycle))].flatMap((cycle): Earned[] => {
    const own = events.filter((event) => event.cycle === cycle)
    const closing = own.find(({ fromState, toState }) => fromState === 'completed' && toState === 'closed')
    const completed = own.filter(({ toState, fromState, seq }) => toState === 'completed' && fromState !== 'completed' && (!closing || seq < closing.seq)).at(-1)
    if (!closing || !completed || completed.verb !== 'complete') return []
    const share = completed.data['result'] === 'realised' ? 100 : completed.data['result'] === 'partly' ? partly : 0
    const began = own[0]!.at
    const given = (event: Told, worker: Done, reason: 'work' | 'co' | 'satisfied', points: number): Earned[] => (points <= 0 ? [] : [{
      seq: event.seq, cycle, at: event.at, path: completed.path, workedAt: completed.at, reason, points,
      worker: { personId: worker.personId, organisationId: worker.organisationId, memberId: worker.memberId },
    }])
    const leads = done.filter(({ role, until }) => role === 'lead' && until?.getTime() === completed.at.getTime())
    const cos = done.filter(({ role, until }) => role === 'co' && until !== null && until >= began && until <= completed.at)
    const praised = share === 0 ? undefined : own.find(({ verb, data }) => (verb === 'rate' || verb === 'follow-up') && data['satisfaction'] === 'satisfied' && data['redo'] !== true)
    const points = Math.round((whole * share) / 100)
    const again = events.find((event) => event.cycle === cycle + 1)
    return [
      ...leads.flatMap((worker) => given(closing, worker, 'work', points)),
      ...cos.flatMap((worker) => given(closing, worker, 'co', Math.round((points * co) / 100))),
      ...(praised ? leads.flatMap((worker) => given(praised, worker, 'satisfied', satisfied)) : []),
      ...(again?.fromState === 'closed' ? [{ seq: again.seq, cycle, at: again.at, takenBack: true as const }] : []),
    ]
  })
}

/** An organisation that a person belonged to when he did the work. */
export interface Tied {
  organisationId: string
  tie: 'home' | 'residence' | null
}

export interface Entry {
  holder: 'person' | 'organisation'
  holderId: string
  viaId: string
  reason: CreditReason
  points: number
}

/**
 * Whose it is: of the person and, for 双报到, of his home unit or branch and of the branch where he lives, each in full; of
 * the organisation that had the work, and of who of it went.
 */
export function entriesOf({ worker: { personId, organisationId, memberId }, reason, points }: Extract<Earned, { points: number }>, ties: readonly Tied[]): Entry[] {
  const who = personId ?? memberId
  const entries: Entry[] = []
  if (organisationId !== null) entries.push({ holder: 'organisation', holderId: organisationId, viaId: organisationId, reason, points })
  if (who === null) return entries
  entries.push({ holder: 'person', holderId: who, viaId: who, reason, points })
  const others = new Map(ties.filter((tied) => tied.organisationId !== organisationId).map(({ organisationId: id, tie }) => [id, tie]))
  for (const [id, tie] of others) {
    entries.push({ holder: 'organisation', holderId: id, viaId: who, reason: reason === 'satisfied' ? reason : tie === null ? 'member' : `member_${tie}`, points })
  }
  return entries
}
