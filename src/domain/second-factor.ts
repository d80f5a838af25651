import type { HeldDuty } from './actor.ts'
import type { Capability } from './machine.ts'

/** 动态口令: who must have a second factor (GB/T 22239 8.1.4.1 d: two of several, for those who administer). */

/** `admins`: whoever administers anything. `revealers`: also whoever may be shown people's data by a duty, or take it out. */
export const TOTP_REQUIRED = ['none', 'admins', 'revealers'] as const
export type TotpRequired = (typeof TOTP_REQUIRED)[number]

export const ADMIN_POWERS = ['configure', 'secure', 'audit'] as const satisfies readonly Capability[]
export type AdminPower = (typeof ADMIN_POWERS)[number]

const ADMINISTERS: readonly Capability[] = ['administer', ...ADMIN_POWERS]
/** `view` takes whole lists out. Whoever handles is shown only whom he has been given: asked when he asks (`factor` in right.ts). */
const REVEALS: readonly Capability[] = ['view', 'dispatch', 'follow_up', 'file_for']

export function needsSecondFactor(duties: readonly Pick<HeldDuty, 'capabilities'>[], required: TotpRequired = 'none'): boolean {
  const all: Record<TotpRequired, readonly Capability[]> = { none: [], admins: ADMINISTERS, revealers: [...ADMINISTERS, ...REVEALS] }
  const those = all[required]
  return duties.some(({ capabilities }) => capabilities.some((held) => those.includes(held)))
}

/** Of the three administrations those that a role confers; the 管理员 of a small town is all of them. */
export const powersOf = (capabilities: readonly Capability[]): readonly AdminPower[] =>
  capabilities.includes('administer') ? ADMIN_POWERS : ADMIN_POWERS.filter((power) => capabilities.includes(power))

/**
 * 三员: whether these roles may be held by one person. One role that is all three is for towns that have not separated them;
 * whoever is one of the three is not that one besides, or the security administrator would make himself the others.
 */
export function areSeparate(roles: readonly (readonly Capability[])[], separated: boolean): boolean {
  const powers = roles.map(powersOf)
  return !(separated || powers.some(({ length }) => length === 1)) || new Set(powers.flat()).size <= 1
}
