import { z } from 'zod'
import { code, int4, text } from './atoms.ts'
import { DEFAULT_WEEK } from './calendar.ts'
import type { CalendarSettings } from './calendar.ts'
import { filingLinkSchema } from './contacts.ts'
import { creditSchema } from './credit.ts'
import { privacySchema } from './privacy.ts'
import { says } from './problems.ts'
import { TOTP_REQUIRED } from './second-factor.ts'

/** What differs from tenant to tenant. Levels, labels and depth of the tree are theirs, not ours. */
export const settingsSchema = z.strictObject({
  /** IANA zone of days, numbers, calendars and figures. */
  zone: text({ max: 64 }),
  week: z.custom<CalendarSettings['week']>((value) => typeof value === 'object' && value !== null),
  /** From the root down. */
  levels: z.array(z.strictObject({ code, name: text({ max: 20 }) })).min(1).max(12),
  /** The finest level a wall may name: never a building or a door. */
  wallLevel: code,
  /** Who logs in with a second factor; see domain/second-factor.ts. Nobody has to when left out. */
  totpRequired: z.enum(TOTP_REQUIRED).optional(),
  /** 三员分立: no duty confers two of system, security and audit administration. */
  separateAdmins: z.boolean().optional(),
  /** Reveals a day, and how long what is kept; see domain/privacy.ts. */
  privacy: privacySchema.optional(),
  /** 小事不出楼栋: the level that the figures take for the building; `building` when left out. */
  buildingLevel: code.optional(),
  /** 敲门问需: a household is due for a visit again after so many days; see domain/visits.ts. */
  visitEveryDays: int4({ min: 1, max: 3_660 }).optional(),
  /** Where the QR codes of contact cards lead, with {node} and {card} in it; to the board itself when left out. */
  filingLink: filingLinkSchema.optional(),
  /** Points for work done; see domain/credit.ts. */
  credit: creditSchema.optional(),
}).refine(({ levels, wallLevel }) => levels.some(({ code }) => code === wallLevel), { params: says('须为 levels 中的一级', 'Must be one of levels'), path: ['wallLevel'] })

export type Settings = z.infer<typeof settingsSchema>

/** The building and all below it; the lowest level where none is called so. */
export function lowLevels({ levels, buildingLevel = 'building' }: Pick<Settings, 'levels' | 'buildingLevel'>): string[] {
  const building = levels.findIndex(({ code }) => code === buildingLevel)
  return levels.slice(building).map(({ code }) => code)
}

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
