import { z } from 'zod'
import { otherwise } from './atoms.ts'
import { nextWorkingTime, type Calendar } from './calendar.ts'
import { DAY, MINUTE } from './calendar-day.ts'
import { says } from './problems.ts'

/** When messages may disturb people. Pure: the caller brings the instant and the calendar of the place. */

const CLOCK = /^(?:[01]\d|2[0-3]):[0-5]\d$/
const timeOfDay = z.string().regex(CLOCK, otherwise(says('应为 HH:MM', 'Expected HH:MM'))).meta({ examples: ['21:00'] })

export const quietHoursSchema = z.strictObject({
  begins: timeOfDay.describe('免打扰开始，当地时间；与 ends 相同则没有免打扰时段'),
  ends: timeOfDay.describe('免打扰结束，当地时间；可跨午夜'),
  workingTimeOnly: z.boolean().describe('不急的消息只在工作时间发送：其余时间攒到下一个工作时间'),
})

/** Local times `HH:MM`, from the one (included) to the other (excluded), across midnight when the second is the earlier. Equal: no such hours. */
export type QuietHours = z.output<typeof quietHoursSchema>

export const DEFAULT_QUIET_HOURS: QuietHours = { begins: '21:00', ends: '08:00', workingTimeOnly: true }

/**
 * Until when a message is held that comes up at `at`; null when it may go at once. What is urgent always may. In quiet
 * hours, and with `workingTimeOnly` outside of working time too, all else waits for the next working time that is not
 * quiet; without it, for the end of the quiet hours.
 */
export function heldUntil(at: Date, urgent: boolean, quiet: QuietHours, calendar: Calendar): Date | null {
  if (urgent) return null
  const free = quiet.workingTimeOnly ? nextFreeWorkingTime(at, quiet, calendar) : endOfQuiet(at, quiet, calendar)
  return free.getTime() > at.getTime() ? free : null
}

/** A calendar may have no working time that is not quiet (night shifts only): quiet hours, which somebody has set, win then. */
const MOST_TURNS = 60

function nextFreeWorkingTime(at: Date, quiet: QuietHours, calendar: Calendar): Date {
  let free = at
  for (let turn = 0; turn < MOST_TURNS; turn++) {
    const working = nextWorkingTime(calendar, free)
    const awake = endOfQuiet(working, quiet, calendar)
    if (awake.getTime() === working.getTime()) return working
    free = awake
  }
  return endOfQuiet(at, quiet, calendar)
}

/** `at` itself when it is not quiet. */
function endOfQuiet(at: Date, { begins, ends }: QuietHours, { zone }: Calendar): Date {
  const [from, to] = [minutesOf(begins), minutesOf(ends)]
  const local = at.getTime() + zone.offsetAt(at.getTime())
  const midnight = Math.floor(local / DAY) * DAY
  const clock = Math.floor((local - midnight) / MINUTE)
  const isQuiet = from <= to ? clock >= from && clock < to : clock >= from || clock < to
  if (!isQuiet) return at
  const end = midnight + (clock < to ? 0 : DAY) + to * MINUTE
  return new Date(zone.instantOf(end))
}

const minutesOf = (text: string): number => Number(text.slice(0, 2)) * 60 + Number(text.slice(3))

/** What of a request decides whether a message about it may wake people. */
export interface Pressing {
  /** 急事 is `urgent`. */
  grade: string | null
  /** Of its policy, per step. */
  limits: Readonly<Record<string, string | undefined>>
  verb: string
  /** The step that a reminder or an escalation is about. */
  step: string | null
}

/**
 * 急件: graded urgent; under an emergency policy, whose work runs on plain hours (DB11: life and property, water, power,
 * gas and heat within 24 h, round the clock); or the escalation of a limit that runs on plain hours.
 */
export function isUrgent({ grade, limits, verb, step }: Pressing): boolean {
  return grade === 'urgent' || runsAtNight(limits.complete) || (verb === 'escalate' && step !== null && runsAtNight(limits[step]))
}

/** `24h`, `30m`. Read leniently: a message about a limit that cannot be read is not urgent, and stops no other. */
const runsAtNight = (limit: string | undefined): boolean => limit !== undefined && /^\d+[hm]$/.test(limit)
