import { v7 as uuidv7 } from 'uuid'
import type { ClaimerKind } from '../domain/actor.ts'
import { code } from '../domain/atoms.ts'
import { Problem, says } from '../domain/problems.ts'
import { forgetActor } from './actors.ts'
import { tenantHere, type Db } from './db.ts'
import { violates } from './failures.ts'
import type { Keyring } from './keyring.ts'
import { hashPassword, passwordFits, passwordMark } from './passwords.ts'
import { sealSubject, type Personal } from './subjects.ts'

interface NewPerson extends Personal {
  name: string
  /** 工号; without one there is no account. */
  login?: string
  password?: string
}

/** @throws Problem validation-failed at /login when it is taken */
export async function createPerson(db: Db, keyring: Keyring, { login, password, ...personal }: NewPerson): Promise<string> {
  const subject = sealSubject(keyring, personal)
  const id = uuidv7()
  await db.app
    .query({
      name: 'create_person',
      text: `
        WITH s AS (INSERT INTO subject ("tenantId", id, key, kid, sealed, phone) VALUES ($1, $2, $3, $4, $5, $6))
        INSERT INTO person ("tenantId", id, "subjectId", login, "passwordHash") VALUES ($1, $7, $2, $8, $9)`,
      values: [tenantHere(), subject.id, subject.key, subject.kid, subject.sealed, subject.phone, id, login, password === undefined ? null : await hashPassword(password)],
    })
    .catch((error: unknown) => {
      if (!violates(error, 'person_tenantId_login_key')) throw error
      throw new Problem('validation-failed', { errors: [{ pointer: '/login', code: 'taken', message: says('该工号已被使用', 'This login is taken') }] })
    })
  return id
}

/** Ends every session by its refresh token; access tokens run out by themselves. @returns false when there is no such person */
export async function setPassword(db: Db, personId: string, password: string): Promise<boolean> {
  const passwordHash = await hashPassword(password)
  const { count } = await db.prisma.person.updateMany({ where: { tenantId: tenantHere(), id: personId }, data: { passwordHash } })
  return count === 1
}

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
  await db.prisma.person.findFirst({ where: { tenantId: tenantHere(), ...by, suspendedAt: null }, select: { id: true, passwordHash: true } })

interface NewDuty {
  personId: string
  roleCode: string
  nodeId: string
  /** Held in this organisation instead of over the node. */
  organisationId?: string
  /** From now on by default. */
  from?: Date
  to?: Date
  /** 替班: holds the same while the duty lasts. */
  standInId?: string
}

/** @throws pg.DatabaseError 23503 when person, role, node or organisation do not exist */
export async function grantDuty(db: Db, { personId, roleCode, nodeId, organisationId, from, to, standInId }: NewDuty): Promise<string> {
  const id = uuidv7()
  await db.app.query({
    name: 'grant_duty',
    text: `
      INSERT INTO duty ("tenantId", id, "personId", "roleCode", "nodeId", "organisationId", "from", "to", "standInId")
      VALUES ($1, $2, $3, $4, $5, $6, COALESCE($7, wishwall_now()), $8, $9)`,
    values: [tenantHere(), id, personId, roleCode, nodeId, organisationId, from, to, standInId],
  })
  for (const holder of [personId, standInId]) if (holder) forgetActor(db, holder)
  return id
}

interface NewAffiliation {
  personId: string
  organisationId: string
  kind: ClaimerKind
  /** By the organisation; only then may the person claim. */
  verified: boolean
}

/** @throws pg.DatabaseError 23503 when person or organisation do not exist */
export async function affiliate(db: Db, { personId, organisationId, kind, verified }: NewAffiliation): Promise<string> {
  const id = uuidv7()
  await db.app.query({
    name: 'affiliate',
    text: `
      INSERT INTO affiliation ("tenantId", id, "personId", "organisationId", kind, "verifiedAt")
      VALUES ($1, $2, $3, $4, $5, CASE WHEN $6 THEN wishwall_now() END)`,
    values: [tenantHere(), id, personId, organisationId, kind, verified],
  })
  forgetActor(db, personId)
  return id
}
