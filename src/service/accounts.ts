import type { Actor } from '../domain/actor.ts'
import { code } from '../domain/atoms.ts'
import { inPerson, looksAfter } from '../domain/directory.ts'
import { Problem, says } from '../domain/problems.ts'
import { forgetActor } from './actors.ts'
import { tenantHere, type Db } from './db.ts'
import type { Lockout } from './lockout.ts'
import { hashPassword, oneTimePassword, passwordFits, passwordMark } from './passwords.ts'
import { findPerson } from './people.ts'

/** A person who has just logged in. `mark` stands for the password used. */
export interface LoggedIn {
  id: string
  mark: string
}

/** @returns undefined for a wrong password, an unknown login and a suspended person alike, in the same time */
export async function logIn(db: Db, login: string, password: string): Promise<LoggedIn | undefined> {
  const known = code.safeParse(login).success ? await account(db, { login }) : undefined
  const fits = await passwordFits(known?.passwordHash, password)
  return fits && known?.passwordHash ? { id: known.id, mark: passwordMark(known.passwordHash) } : undefined
}

/** Still the same password, and not suspended since. */
export async function isStillLoggedIn(db: Db, { id, mark }: LoggedIn): Promise<boolean> {
  const known = await account(db, { id })
  return known?.passwordHash != null && passwordMark(known.passwordHash) === mark
}

const account = async (db: Db, by: { id: string } | { login: string }) =>
  await db.prisma.person.findFirst({ where: { tenantId: tenantHere(), ...by, suspendedAt: null }, select: { id: true, login: true, passwordHash: true } })

/** Ends every session by its refresh token; access tokens run out by themselves. @returns false when there is no such person */
export async function setPassword(db: Db, personId: string, password: string, { once = false } = {}): Promise<boolean> {
  const passwordHash = await hashPassword(password)
  const { count } = await db.prisma.person.updateMany({ where: { tenantId: tenantHere(), id: personId }, data: { passwordHash, passwordOnce: once } })
  forgetActor(db, personId)
  return count === 1
}

export interface PasswordChange {
  current: string
  password: string
}

/**
 * One's own password. Wrong guesses at the old one count like failed logins.
 * @throws Problem forbidden through an app, validation-failed at /current or /password, rate-limited
 */
export async function changePassword({ db, lockout }: { db: Db; lockout: Lockout }, { current, password }: PasswordChange, actor: Actor, nowMs: number): Promise<void> {
  if (!inPerson(actor)) throw notThroughApps()
  const known = await account(db, { id: actor.id })
  // The same key as the login's, so that guessing here leaves no tries there.
  const fits = await lockout.guarded(`${tenantHere()}/${known?.login ?? actor.id}`, nowMs, async () => (await passwordFits(known?.passwordHash, current)) || undefined)
  if (!fits) throw refused('/current', 'wrong', says('原密码不正确', 'Wrong password'))
  if (password.normalize('NFC') === current.normalize('NFC')) throw refused('/password', 'same', says('新密码不能与原密码相同', 'Choose another password'))
  if (known?.login && password.toLowerCase().includes(known.login.toLowerCase())) {
    throw refused('/password', 'login', says('密码中不能含有工号', 'The password must not contain the login'))
  }
  await setPassword(db, actor.id, password)
}

/**
 * A new one-time password; every session of the person ends with its access token.
 * @throws Problem not-found, forbidden (as `lookedAfter`), no-account
 */
export async function resetPassword(db: Db, ref: string, actor: Actor): Promise<{ oneTimePassword: string }> {
  const { id, login } = await lookedAfter(db, ref, actor)
  if (login === null) throw new Problem('no-account')
  const password = oneTimePassword()
  await setPassword(db, id, password, { once: true })
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
  await db.app.query({
    name: 'suspend_person',
    text: `UPDATE person SET "suspendedAt" = wishwall_now() WHERE "tenantId" = $1 AND id = $2 AND "suspendedAt" IS NULL`,
    values: [tenantHere(), id],
  })
  forgetActor(db, id)
  return id
}

/** @throws as `suspendPerson` */
export async function resumePerson(db: Db, ref: string, actor: Actor): Promise<string> {
  const { id } = await lookedAfter(db, ref, actor)
  await db.prisma.person.updateMany({ where: { tenantId: tenantHere(), id }, data: { suspendedAt: null } })
  forgetActor(db, id)
  return id
}

/**
 * The person, when the actor may dispose of his account.
 * @throws Problem not-found out of sight; forbidden when he also belongs to a place the actor does not administer, and through an app
 */
async function lookedAfter(db: Db, ref: string, actor: Actor): Promise<{ id: string; login: string | null }> {
  const person = await findPerson(db, ref, actor)
  if (!inPerson(actor)) throw notThroughApps()
  if (!looksAfter(actor, person.paths)) {
    throw new Problem('forbidden', { detail: says('此人还有您管辖范围以外的归属或职责，请由上级管理员办理', 'The person also belongs to places you do not administer: ask an administrator above') })
  }
  return person
}

const notThroughApps = () => new Problem('forbidden', { detail: says('账号事务须由本人登录办理，应用不能代办', 'Accounts are managed in person, not through an app') })

const refused = (pointer: string, code: string, message: ReturnType<typeof says>) => new Problem('validation-failed', { errors: [{ pointer, code, message }] })
