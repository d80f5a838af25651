import { SYSTEM, type Actor } from '../domain/actor.ts'
import { code } from '../domain/atoms.ts'
import { inPerson, looksAfter } from '../domain/directory.ts'
import { Problem, says } from '../domain/problems.ts'
import { forgetActor } from './actors.ts'
import { account } from './audit.ts'
import { inOneTransaction, tenantHere, type Db } from './db.ts'
import type { Keyring } from './keyring.ts'
import { unlock, type Lockout } from './lockout.ts'
import { hashPassword, oneTimePassword, passwordFits, passwordMark } from './passwords.ts'
import { findPerson } from './people.ts'
import { transaction } from './transaction.ts'

/** A person who has just logged in. `mark` stands for the password used. */
export interface LoggedIn {
  id: string
  mark: string
}

/** @returns undefined for a wrong password, an unknown login and a suspended person alike, in the same time */
export async function logIn(db: Db, login: string, password: string): Promise<LoggedIn | undefined> {
  const known = code.safeParse(login).success ? await accountOf(db, { login }) : undefined
  const fits = await passwordFits(known?.passwordHash, password)
  return fits && known?.passwordHash ? { id: known.id, mark: await markOf(db, known.id, known.passwordHash) } : undefined
}

/** Still the same password and second factor, and not suspended since. */
export async function isStillLoggedIn(db: Db, { id, mark }: LoggedIn): Promise<boolean> {
  const known = await accountOf(db, { id })
  return known?.passwordHash != null && (await markOf(db, id, known.passwordHash)) === mark
}

/** Stands for the password and, once there is one, the second factor: a session ends with either. */
async function markOf(db: Db, personId: string, passwordHash: string): Promise<string> {
  const totp = await db.prisma.totp.findFirst({ where: { tenantId: tenantHere(), personId, confirmedAt: { not: null } }, select: { confirmedAt: true } })
  return passwordMark(totp?.confirmedAt ? `${passwordHash}/${totp.confirmedAt.getTime()}` : passwordHash)
}

const accountOf = async (db: Db, by: { id: string } | { login: string }) =>
  await db.prisma.person.findFirst({ where: { tenantId: tenantHere(), ...by, suspendedAt: null }, select: { id: true, login: true, passwordHash: true } })

/** Ends every session by its refresh token; access tokens run out by themselves. @returns false when there is no such person */
export async function setPassword(db: Db, personId: string, password: string, { once = false } = {}, actor: Actor = SYSTEM): Promise<boolean> {
  const passwordHash = await hashPassword(password)
  const changed = await db.prisma.$transaction(async (tx) => {
    const { count } = await tx.person.updateMany({ where: { tenantId: tenantHere(), id: personId }, data: { passwordHash, passwordOnce: once } })
    if (count === 1) await account(tx, actor, { action: once ? 'login.password-reset' : 'login.password-changed', object: 'person', objectId: personId })
    return count === 1
  })
  forgetActor(db, personId)
  return changed
}

export interface PasswordChange {
  current: string
  password: string
}

/**
 * One's own password. Wrong guesses at the old one count like failed logins.
 * @throws Problem forbidden through an app, validation-failed at /current or /password, rate-limited
 */
export async function changePassword(deps: { db: Db; keyring: Keyring; lockout: Lockout }, { current, password }: PasswordChange, actor: Actor): Promise<void> {
  const { db, lockout } = deps
  if (!inPerson(actor)) throw notThroughApps()
  const known = await accountOf(db, { id: actor.id })
  // The same key as the login's, so that guessing here leaves no tries there.
  const fits = await lockout.guarded(deps, { login: known?.login ?? actor.id }, async () => (await passwordFits(known?.passwordHash, current)) || undefined)
  if (!fits) throw refused('/current', 'wrong', says('原密码不正确', 'Wrong password'))
  if (password.normalize('NFC') === current.normalize('NFC')) throw refused('/password', 'same', says('新密码不能与原密码相同', 'Choose another password'))
  if (known?.login && password.toLowerCase().includes(known.login.toLowerCase())) {
    throw refused('/password', 'login', says('密码中不能含有工号', 'The password must not contain the login'))
  }
  await setPassword(db, actor.id, password, {}, actor)
}

/**
 * A new one-time password; every session of the person ends with its access token.
 * @throws Problem not-found, forbidden (as `lookedAfter`), no-account
 */
export async function resetPassword(db: Db, ref: string, actor: Actor): Promise<{ oneTimePassword: string }> {
  const { id, login } = await lookedAfter(db, ref, actor)
  if (login === null) throw new Problem('no-account')
  const password = oneTimePassword()
  await setPassword(db, id, password, { once: true }, actor)
  return { oneTimePassword: password }
}

/**
 * Takes effect at once in this process and within two seconds in the others. What the person is handling stays theirs
 * until it is redispatched.
 * @throws Problem not-found, forbidden (as `lookedAfter`, and for oneself)
 */
export async function suspendPerson(db: Db, ref: string, actor: Actor): Promise<string> {
  const { id } = await lookedAfter(db, ref, actor)
  if (actor.kind === 'person' && actor.id === id) throw new Problem('forbidden', { detail: says('不能停用自己', 'Nobody suspends themselves') })
  await transaction(db.app, async (client) => {
    const { rowCount } = await client.query({
      name: 'suspend_person',
      text: `UPDATE person SET "suspendedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND "suspendedAt" IS NULL`,
      values: [tenantHere(), id],
    })
    if (rowCount === 1) await account(client, actor, { action: 'person.suspended', object: 'person', objectId: id })
  })
  forgetActor(db, id)
  return id
}

/** @throws as `suspendPerson` */
export async function resumePerson(db: Db, ref: string, actor: Actor): Promise<string> {
  const { id } = await lookedAfter(db, ref, actor)
  await db.prisma.$transaction(async (tx) => {
    const { count } = await tx.person.updateMany({ where: { tenantId: tenantHere(), id, suspendedAt: { not: null } }, data: { suspendedAt: null } })
    if (count === 1) await account(tx, actor, { action: 'person.resumed', object: 'person', objectId: id })
  })
  forgetActor(db, id)
  return id
}

/** Wrong guesses are forgotten, in every process. @throws Problem not-found, forbidden (as `lookedAfter`), no-account */
export async function unlockPerson(deps: { db: Db; keyring: Keyring }, ref: string, actor: Actor): Promise<string> {
  const { id, login } = await lookedAfter(deps.db, ref, actor)
  if (login === null) throw new Problem('no-account')
  await inOneTransaction(deps.db, async () => {
    await unlock(deps, login)
    await account(deps.db.app, actor, { action: 'login.unlocked', object: 'person', objectId: id })
  })
  return id
}

/**
 * The person, when the actor may dispose of his account.
 * @throws Problem not-found out of sight; forbidden when he also belongs to a place the actor does not administer, and through an app
 */
export async function lookedAfter(db: Db, ref: string, actor: Actor): Promise<{ id: string; login: string | null }> {
  const person = await findPerson(db, ref, actor)
  if (!inPerson(actor)) throw notThroughApps()
  if (!looksAfter(actor, person.paths)) {
    throw new Problem('forbidden', { detail: says('此人还有您管辖范围以外的归属或职责，请由上级管理员办理', 'The person also belongs to places you do not administer: ask an administrator above') })
  }
  return person
}

const notThroughApps = () => new Problem('forbidden', { detail: says('账号事务须由本人登录办理，应用不能代办', 'Accounts are managed in person, not through an app') })

const refused = (pointer: string, code: string, message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer, code, message }] })
