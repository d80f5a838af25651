import { z } from 'zod'
import { code, text } from './atoms.ts'
import { DEFAULT_WEEK } from './calendar.ts'
import type { CalendarSettings } from './calendar.ts'

/** What differs from tenant to tenant. Levels, labels and depth of the tree are theirs, not ours. */
export const settingsSchema = z.strictObject({
  /** IANA zone of days, numbers, calendars and figures. */
  zone: text({ max: 64 }),
  week: z.custom<CalendarSettings['week']>((value) => typeof value === 'object' && value !== null),
  /** From the root down. */
  levels: z.array(z.strictObject({ code, name: text({ max: 20 }) })).min(1).max(12),
  /** The finest level a wall may name: never a building or a door. */
  wallLevel: code,
}).refine(({ levels, wallLevel }) => levels.some(({ code }) => code === wallLevel), { error: 'wallLevel must be one of levels', path: ['wallLevel'] })

export type Settings = z.infer<typeof settingsSchema>

export const DEFAULT_SETTINGS: Settings = {
  zone: 'Asia/Shanghai',
  week: DEFAULT_WEEK,
  levels: [
    { code: 'street', name: '街道' },
    { code: 'community', name: '社区' },
    { code: 'compound', name: '小区' },
    { code: 'building', name: '楼栋' },
    { code: 'unit', name: '单元' },
  ],
  wallLevel: 'compound',
}
