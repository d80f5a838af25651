import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'
import { STATES } from '../src/domain/machine.ts'

/** What one source file may hold, by the floor it lies on. Read with the compiler, so that comments and words do not count. */

const ROOT = join(import.meta.dirname, '..')
const OWN = ['domain', 'service', 'outside', 'http', 'jobs', 'web', 'client'] as const

/** Floors of ours that a floor may import, itself included; `bin` may import everything. */
const FLOORS: Record<string, readonly string[]> = {
  domain: ['domain'],
  service: ['domain', 'service'],
  outside: ['domain', 'outside'],
  http: ['domain', 'service', 'http'],
  jobs: ['domain', 'service', 'jobs'],
  client: ['client'],
  bin: [...OWN, 'bin'],
}

const SERVERS = /^(fastify|@fastify\/|light-my-request|fastify-)/
const QUEUES = /^(bullmq|ioredis)/
const DATABASE = /^(pg|@prisma\/)/
/** Packages: `domain` has a list of what it may, the others of what they may not. */
const PACKAGES: Record<string, (name: string) => boolean> = {
  domain: (name) => /^(zod|chinese-days|opencc-js)(\/|$)/.test(name),
  service: (name) => !SERVERS.test(name) && !QUEUES.test(name),
  outside: (name) => !SERVERS.test(name) && !QUEUES.test(name) && !DATABASE.test(name),
  http: (name) => !QUEUES.test(name) && !DATABASE.test(name),
  jobs: (name) => !SERVERS.test(name) && !name.startsWith('@prisma/'),
  client: (name) => name === 'openapi-fetch',
  bin: () => true,
}

/** What `domain` may use of node: it computes, and draws nothing from the machine. */
const COMPUTES: Record<string, readonly string[]> = {
  'node:crypto': ['createHash', 'createHmac', 'createPrivateKey', 'createPublicKey', 'KeyObject', 'sign', 'timingSafeEqual', 'verify'],
}

/** A statement, not the word: `select` in a sentence or a property called `update` is nobody's business. */
const SQL = /\b(select\b[\s\S]*\bfrom\b|insert\s+into\b|update\s+\S+\s+set\b|delete\s+from\b|truncate\s+table\b|listen\s+\w+$|notify\s+\w+$)/i
const COMPARISONS = new Set([ts.SyntaxKind.EqualsEqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsEqualsToken, ts.SyntaxKind.EqualsEqualsToken, ts.SyntaxKind.ExclamationEqualsToken])

/** What is wrong with a file, in words; nothing for a good one. @param path from the root, `src/…` */
function breaches(path: string, text: string): string[] {
  const floor = path.split('/')[1]!
  const found: string[] = []
  const may = FLOORS[floor]
  if (!may || !PACKAGES[floor]) return [`src/${floor} is no floor: say here what it may import`]
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const imported = (name: string, node?: ts.Node) => {
    if (name.startsWith('.')) {
      const to = join(path, '..', name).split('/')[1]!
      if (!may.includes(to)) found.push(`${floor} imports ${to}`)
    } else if (name.startsWith('node:')) {
      if (name === 'node:process' || (floor === 'domain' && !computesOnly(name, node))) found.push(`${floor} imports ${name}`)
    } else if (!PACKAGES[floor]!(name)) found.push(`${floor} imports ${name}`)
  }
  const look = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier && ts.isStringLiteral(node.moduleSpecifier)) imported(node.moduleSpecifier.text, node)
    if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) imported(node.argument.literal.text)
    if (ts.isCallExpression(node) && (node.expression.kind === ts.SyntaxKind.ImportKeyword || node.expression.getText() === 'require')) {
      const [name] = node.arguments
      if (name && ts.isStringLiteralLike(name)) imported(name.text)
      else found.push(`${floor} imports what cannot be read`)
    }
    if (floor !== 'bin') found.push(...belowBin(floor, node))
    ts.forEachChild(node, look)
  }
  look(file)
  return found
}

/** By name: whoever imports the whole of it may use all of it. */
function computesOnly(name: string, node: ts.Node | undefined): boolean {
  const bindings = node && ts.isImportDeclaration(node) && !node.importClause?.name ? node.importClause?.namedBindings : undefined
  return bindings !== undefined && ts.isNamedImports(bindings)
    && bindings.elements.every(({ name: own, propertyName }) => (COMPUTES[name] ?? []).includes((propertyName ?? own).text))
}

function belowBin(floor: string, node: ts.Node): string[] {
  const found: string[] = []
  const word = ts.isPropertyAccessExpression(node) || ts.isElementAccessExpression(node) ? node.getText() : ''
  if (/^(globalThis\.)?process\W+(env|on|once|exit|exitCode|kill|argv)\b/.test(word)) found.push(`process in ${floor}`)
  if (word === 'Date.now') found.push(`wall clock in ${floor}`)
  if (ts.isNewExpression(node) && node.expression.getText() === 'Date' && (node.arguments?.length ?? 0) === 0) found.push(`wall clock in ${floor}`)
  if (ts.isCallExpression(node) && node.expression.getText() === 'Date') found.push(`wall clock in ${floor}`)
  if (floor === 'domain') {
    if (ts.isAwaitExpression(node) || node.kind === ts.SyntaxKind.AsyncKeyword) found.push('await in domain')
    if (/^(Math\.random|performance\.now|crypto\.\w+)$/.test(word)) found.push('chance in domain')
    if (ts.isCallExpression(node) && /^(fetch|setTimeout|setInterval|setImmediate|queueMicrotask)$/.test(node.expression.getText())) found.push('waiting in domain')
  }
  // Prisma sends what was asked for in one tick together, inside the first caller's tenant: these would read another's rows.
  if (ts.isCallExpression(node) && /\.findUnique(OrThrow)?$/.test(node.expression.getText())) found.push('Prisma batch across tenants')
  if (ts.isCallExpression(node) && node.expression.getText().endsWith('.$transaction') && node.arguments.some((side) => ts.isArrayLiteralExpression(side))) found.push('Prisma batch across tenants')
  if (floor !== 'service' && (ts.isStringLiteralLike(node) || ts.isTemplateExpression(node)) && SQL.test(node.getText())) found.push(`SQL in ${floor}`)
  if (floor === 'http' || floor === 'jobs') found.push(...onState(floor, node))
  return found
}

/** Which state a request is in is for the rules to ask. */
function onState(floor: string, node: ts.Node): string[] {
  const breach = [`a rule on state in ${floor}`]
  const isState = (side: ts.Node) => ts.isPropertyAccessExpression(side) && /^(state|fromState|toState)$/.test(side.name.text)
  const isBare = (side: ts.Node) => ts.isIdentifier(side) && side.text === 'state'
  const names = (side: ts.Node) => ts.isStringLiteralLike(side) && Object.hasOwn(STATES, side.text)
  if (ts.isBinaryExpression(node) && COMPARISONS.has(node.operatorToken.kind)) {
    const [left, right] = [node.left, node.right]
    if (isState(left) || isState(right) || (isBare(left) && names(right)) || (names(left) && isBare(right))) return breach
  }
  if (ts.isSwitchStatement(node) && (isState(node.expression) || isBare(node.expression))) return breach
  if (ts.isCallExpression(node) && /\.(includes|has)$/.test(node.expression.getText()) && node.arguments.some((side) => isState(side) || isBare(side))) return breach
  return []
}

const FILES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .map((name) => `src/${name.replaceAll('\\', '/')}`)
  .filter((path) => path.endsWith('.ts') && !/^src\/(service|client)\/generated\//.test(path))

describe('the floors', () => {
  test('hold', () => {
    expect(FILES.length).toBeGreaterThan(80)
    expect(FILES.flatMap((path) => breaches(path, readFileSync(join(ROOT, path), 'utf8')).map((breach) => `${path}: ${breach}`))).toEqual([])
  })

  // Each law is shown a file that breaks it.
  test.each([
    ['src/domain/a.ts', `import { commit } from '../service/commit.ts'`, 'domain imports service'],
    ['src/domain/rules/a.ts', `export { x } from '../../http/app.ts'`, 'domain imports http'],
    ['src/domain/a.ts', `import pg from 'pg'`, 'domain imports pg'],
    ['src/domain/a.ts', `import { createHmac, randomBytes } from 'node:crypto'`, 'domain imports node:crypto'],
    ['src/domain/a.ts', `import crypto from 'node:crypto'`, 'domain imports node:crypto'],
    ['src/domain/a.ts', `import { readFileSync } from 'node:fs'`, 'domain imports node:fs'],
    ['src/domain/a.ts', `type X = import('fastify').FastifyInstance`, 'domain imports fastify'],
    ['src/service/a.ts', `import { reply } from '../http/app.ts'`, 'service imports http'],
    ['src/service/a.ts', `import type { Queue } from '../jobs/queues.ts'`, 'service imports jobs'],
    ['src/service/a.ts', `const x = await import('../bin/config.ts')`, 'service imports bin'],
    ['src/service/a.ts', `import { send } from '../outside/egress.ts'`, 'service imports outside'],
    ['src/service/a.ts', `import type { FastifyRequest } from 'fastify'`, 'service imports fastify'],
    ['src/service/a.ts', `import { Queue } from 'bullmq'`, 'service imports bullmq'],
    ['src/http/routes/a.ts', `import { enqueue } from '../../jobs/enqueue.ts'`, 'http imports jobs'],
    ['src/http/a.ts', `import { readConfig } from '../bin/config.ts'`, 'http imports bin'],
    ['src/http/a.ts', `import pg from 'pg'`, 'http imports pg'],
    ['src/http/a.ts', `import { PrismaClient } from '@prisma/client'`, 'http imports @prisma/client'],
    ['src/jobs/a.ts', `import { buildApp } from '../http/app.ts'`, 'jobs imports http'],
    ['src/jobs/a.ts', `import { readConfig } from '../bin/config.ts'`, 'jobs imports bin'],
    ['src/jobs/a.ts', 'import(name)', 'jobs imports what cannot be read'],
    ['src/else/a.ts', '', 'src/else is no floor: say here what it may import'],
    ['src/service/a.ts', `const port = process.env.PORT`, 'process in service'],
    ['src/http/a.ts', `process.on('SIGTERM', stop)`, 'process in http'],
    ['src/jobs/a.ts', `process.exit(1)`, 'process in jobs'],
    ['src/jobs/a.ts', `process['env']['PORT']`, 'process in jobs'],
    ['src/service/a.ts', `import { env } from 'node:process'`, 'service imports node:process'],
    ['src/domain/a.ts', `const f = async () => { await x }`, 'await in domain'],
    ['src/domain/a.ts', `const now = Date.now()`, 'wall clock in domain'],
    ['src/domain/a.ts', `const now = new Date()`, 'wall clock in domain'],
    ['src/service/a.ts', `const clock = Date.now`, 'wall clock in service'],
    ['src/http/a.ts', `const now = new Date`, 'wall clock in http'],
    ['src/domain/a.ts', `const dice = Math.random()`, 'chance in domain'],
    ['src/domain/a.ts', `setTimeout(f, 1)`, 'waiting in domain'],
    ['src/service/a.ts', `db.prisma.node.findUnique({ where })`, 'Prisma batch across tenants'],
    ['src/service/a.ts', `db.prisma.$transaction([a, b])`, 'Prisma batch across tenants'],
    ['src/http/a.ts', 'db.query(`SELECT id FROM request WHERE id = ${id}`)', 'SQL in http'],
    ['src/jobs/a.ts', `db.query('insert into outbox values ($1)')`, 'SQL in jobs'],
    ['src/domain/a.ts', `const sql = 'UPDATE request SET state = $1'`, 'SQL in domain'],
    ['src/jobs/a.ts', `db.query('DELETE FROM outbox')`, 'SQL in jobs'],
    ['src/http/a.ts', `if (request.state === 'open') reply.send()`, 'a rule on state in http'],
    ['src/http/a.ts', `const late = 'open' !== facts.request?.state`, 'a rule on state in http'],
    ['src/http/a.ts', `const { state } = request; if (state === 'open') reply.send()`, 'a rule on state in http'],
    ['src/jobs/a.ts', `switch (row.state) { default: }`, 'a rule on state in jobs'],
    ['src/jobs/a.ts', `if (['open', 'filed'].includes(row.state)) run()`, 'a rule on state in jobs'],
  ])('%s may not hold %s', (path, text, breach) => {
    expect(breaches(path, text)).toContain(breach)
  })

  test.each([
    ['src/domain/a.ts', `import { createHmac, type KeyObject } from 'node:crypto'\nimport { z } from 'zod'\nimport days from 'chinese-days/dist/chinese-days.json' with { type: 'json' }\nexport const d = new Date(0) // await Date.now()`],
    ['src/service/a.ts', `import pg from 'pg'\nimport { v7 } from 'uuid'\nexport const q = 'SELECT 1 FROM x'`],
    ['src/http/a.ts', `import { act } from '../service/requests.ts'\nexport const hint = state === 'none' ? 'choose one of the list' : 'update'`],
    ['src/bin/a.ts', `import { buildApp } from '../http/app.ts'\nprocess.on('SIGTERM', () => process.exit(0))\nexport const clock = () => Date.now()`],
  ])('%s may hold what belongs there', (path, text) => {
    expect(breaches(path, text)).toEqual([])
  })
})

describe('names and sizes', () => {
  const VAGUE = /(^|[/.-])(utils?|helpers?|commons?|types?|managers?|misc|shared|constants?)(?=[/.-]|$)/
  const nameless = (path: string) => VAGUE.test(path)
  const LONGEST = 250
  const lines = (text: string) => text.split('\n').length - (text.endsWith('\n') ? 1 : 0)

  test('every file says what it holds', () => {
    expect(FILES.filter(nameless)).toEqual([])
    for (const path of ['src/service/utils.ts', 'src/common/a.ts', 'src/http/route-helpers.ts', 'src/domain/types.ts', 'src/jobs/manager.ts', 'src/misc.ts']) expect(nameless(path), path).toBe(true)
    for (const path of ['src/domain/atoms.ts', 'src/http/media-typed.ts']) expect(nameless(path), path).toBe(false)
  })

  test(`no source file is longer than ${LONGEST} lines`, () => {
    const long = FILES.map((path) => ({ path, lines: lines(readFileSync(join(ROOT, path), 'utf8')) })).filter((file) => file.lines > LONGEST)
    expect(long).toEqual([])
    expect(lines('a\n'.repeat(LONGEST + 1))).toBe(LONGEST + 1)
  })
})
