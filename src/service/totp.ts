import { createHash, randomBytes } from 'node:crypto'
import { Secret, TOTP } from 'otpauth'
import { SYSTEM, type Actor } from '../domain/actor.ts'
import { base62 } from '../domain/api-key.ts'
import { inPerson } from '../domain/directory.ts'
import { Problem, says } from '../domain/problems.ts'
import { lookedAfter } from './accounts.ts'
import { forgetActor } from './actors.ts'
import { account } from './audit.ts'
import { tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import type { Lockout } from './lockout.ts'
import { seal, unseal } from './seal.ts'
import { transaction } from './transaction.ts'

/** 动态口令 (RFC 6238: SHA-1, six digits, 30 s, what every authenticator app can do). */

const PERIOD_S = 30
/** So many steps a phone's clock may be off, either way. */
const SKEW = 1
const RECOVERY_CODES = 10

export interface Enrolment {
  /** Base32, to be typed in. */
  secret: string
  /** otpauth://… for a QR code. */
  uri: string
}

interface Row {
  kid: string | null
  sealed: Buffer | null
  recovery: string[]
  lastStep: number
  confirmedAt: Date | null
}

interface Deps {
  db: Db
  keyring: Keyring
  lockout: Lockout
}

/** A secret of one's own, good once a code of it has confirmed it; until then each call makes a new one. @throws Problem forbidden, totp-enrolled */
export async function enrolTotp({ db, keyring }: Deps, actor: Actor): Promise<Enrolment> {
  const { id, login } = await self(db, actor)
  const [{ kid, secret: key }] = keyring.seal
  const secret = randomBytes(20)
  const { rowCount } = await db.app.query({
    name: 'enrol_totp',
    text: `INSERT INTO totp ("tenantId", "personId", kid, sealed, "enrolledAt") VALUES ($1, $2, $3, $4, wishwall_now())
      ON CONFLICT ("tenantId", "personId") DO UPDATE SET kid = excluded.kid, sealed = excluded.sealed, "enrolledAt" = excluded."enrolledAt" WHERE totp."confirmedAt" IS NULL`,
    values: [tenantHere(), id, kid, seal(key, secret, placeOf(id))],
  })
  if (rowCount === 0) throw new Problem('totp-enrolled')
  const totp = totpOf(secret, login)
  return { secret: totp.secret.base32, uri: totp.toString() }
}

/** @returns recovery codes, shown this once @throws Problem forbidden, totp-not-enrolled, validation-failed at /code, rate-limited */
export async function confirmTotp(deps: Deps, code: string, actor: Actor): Promise<string[]> {
  const { id, login } = await self(deps.db, actor)
  const row = await read(deps.db, id)
  if (!row?.sealed || row.confirmedAt) throw new Problem('totp-not-enrolled')
  await guessed(deps, login, () => useStep(deps, id, row, code))
  const codes = Array.from({ length: RECOVERY_CODES }, recoveryCode)
  await transaction(deps.db.app, async (client) => {
    const { rowCount } = await client.query({
      name: 'confirm_totp', text: `UPDATE totp SET "confirmedAt" = wishwall_now(), recovery = $3 WHERE "tenantId" = $1 AND "personId" = $2 AND "confirmedAt" IS NULL AND sealed = $4`,
      values: [tenantHere(), id, codes.map(hashOf), row.sealed],
    })
    // Another call of the same person was faster: these codes are not the ones that count.
    if (rowCount === 0) throw new Problem('totp-not-enrolled')
    await account(client, actor, { action: 'login.factor-enrolled', object: 'person', objectId: id })
  })
  forgetActor(deps.db, id)
  return codes
}

/** Of one's own, with a code. @throws as `confirmTotp` */
export async function removeTotp(deps: Deps, code: string, actor: Actor): Promise<void> {
  const { id, login } = await self(deps.db, actor)
  const row = await read(deps.db, id)
  if (!row?.confirmedAt) throw new Problem('totp-not-enrolled')
  await guessed(deps, login, () => useCode(deps, id, code))
  await forget(deps.db, id, actor)
}

/** The phone is lost: by a security administrator, of whoever he looks after. @throws Problem not-found, forbidden, totp-not-enrolled */
export async function resetTotp(db: Db, ref: string, actor: Actor): Promise<void> {
  const { id } = await lookedAfter(db, ref, actor)
  if (!(await read(db, id))?.sealed) throw new Problem('totp-not-enrolled')
  await forget(db, id, actor)
}

/** At the door: `none` has no second factor, `missing` has and gave none. */
export async function checkTotp(deps: Pick<Deps, 'db' | 'keyring'>, personId: string, code: string | undefined): Promise<'none' | 'missing' | 'good' | 'wrong'> {
  const row = await read(deps.db, personId)
  if (!row?.confirmedAt) return 'none'
  if (!code) return 'missing'
  return (await useCode(deps, personId, code)) ? 'good' : 'wrong'
}

/** Six digits of the app, or a recovery code; either is good once. */
async function useCode(deps: Pick<Deps, 'db' | 'keyring'>, personId: string, given: string): Promise<boolean> {
  const code = given.replace(/[\s-]/g, '')
  const row = await read(deps.db, personId)
  if (!row?.confirmedAt) return false
  if (/^\d{6}$/.test(code)) return useStep(deps, personId, row, code)
  return transaction(deps.db.app, async (client) => {
    const { rowCount } = await client.query({
      name: 'use_recovery_code', text: `UPDATE totp SET recovery = array_remove(recovery, $3) WHERE "tenantId" = $1 AND "personId" = $2 AND $3 = ANY (recovery)`,
      values: [tenantHere(), personId, hashOf(code)],
    })
    if (rowCount === 1) await account(client, SYSTEM, { action: 'login.factor-used', object: 'person', objectId: personId })
    return rowCount === 1
  })
}

/** The step of a code is written down with its use: neither it nor an older one is good again (RFC 6238, 5.2). */
async function useStep({ db, keyring }: Pick<Deps, 'db' | 'keyring'>, personId: string, { kid, sealed }: Row, code: string): Promise<boolean> {
  const key = keyring.seal.find((one) => one.kid === kid)
  if (!key || !sealed) throw new Error(`the second factor of person ${personId} is sealed by an unknown key ${kid}`)
  const { rows: [row] } = await db.app.query<{ now: Date }>({ name: 'totp_now', text: 'SELECT wishwall_now() AS now' })
  const timestamp = row!.now.getTime()
  const delta = totpOf(unseal(key.secret, sealed, placeOf(personId)), '').validate({ token: code, timestamp, window: SKEW })
  if (delta === null) return false
  const { rowCount } = await db.app.query({
    name: 'use_totp', text: `UPDATE totp SET "lastStep" = $3 WHERE "tenantId" = $1 AND "personId" = $2 AND "lastStep" < $3 AND sealed = $4`,
    values: [tenantHere(), personId, Math.floor(timestamp / 1000 / PERIOD_S) + delta, sealed],
  })
  return rowCount === 1
}

/** Wrong codes count like wrong passwords. */
async function guessed({ db, keyring, lockout }: Deps, login: string, attempt: () => Promise<boolean>): Promise<void> {
  const good = await lockout.guarded({ db, keyring }, { login }, async () => (await attempt()) || undefined)
  if (!good) throw new Problem('validation-failed', { errors: [{ pointer: '/code', code: 'wrong', message: says('动态口令不正确或已用过', 'Wrong code, or used already') }] })
}

async function read(db: Db, personId: string): Promise<Row | undefined> {
  const { rows: [row] } = await db.app.query<Row>({
    name: 'totp', text: `SELECT kid, sealed, recovery, "lastStep", "confirmedAt" FROM totp WHERE "tenantId" = $1 AND "personId" = $2`, values: [tenantHere(), personId],
  })
  return row
}

async function forget(db: Db, personId: string, actor: Actor): Promise<void> {
  await transaction(db.app, async (client) => {
    await client.query({
      name: 'forget_totp', text: `UPDATE totp SET kid = NULL, sealed = NULL, recovery = '{}', "enrolledAt" = NULL, "confirmedAt" = NULL WHERE "tenantId" = $1 AND "personId" = $2`,
      values: [tenantHere(), personId],
    })
    await account(client, actor, { action: 'login.factor-removed', object: 'person', objectId: personId })
  })
  forgetActor(db, personId)
}

/** @throws Problem forbidden through an app, no-account */
async function self(db: Db, actor: Actor): Promise<{ id: string; login: string }> {
  if (!inPerson(actor)) throw new Problem('forbidden', { detail: says('动态口令须由本人登录办理', 'A second factor is set up in person') })
  const person = await db.prisma.person.findFirst({ where: { tenantId: tenantHere(), id: actor.id }, select: { login: true } })
  if (!person?.login) throw new Problem('no-account')
  return { id: actor.id, login: person.login }
}

const totpOf = (secret: Buffer, label: string): TOTP =>
  new TOTP({ issuer: '心愿墙', label, secret: new Secret({ buffer: new Uint8Array(secret).buffer }), algorithm: 'SHA1', digits: 6, period: PERIOD_S })

/** 60 random bits, in two groups for reading out. */
function recoveryCode(): string {
  const digits = base62(randomBytes(12), 10)
  return `${digits.slice(0, 5)}-${digits.slice(5)}`
}

const hashOf = (code: string): string => createHash('sha256').update(code.replace(/[\s-]/g, '')).digest('base64url')

/** A secret opens for its person only. */
export const placeOf = (personId: string): string => `totp/${tenantHere()}/${personId}`
