import { connect } from 'node:net'
import type { LightMyRequestResponse } from 'fastify'
import { expect } from 'vitest'
import { PROBLEMS, type ProblemCode } from '../../src/domain/problems.ts'
import { STATUS } from '../../src/http/problem-json.ts'
import { ProblemSchema } from '../../src/http/problem-responses.ts'

/** Holds every answer to the contract, whatever it refuses. */
export function expectProblem(answer: LightMyRequestResponse, code: ProblemCode, members: object = {}): void {
  const body: unknown = answer.json()
  expect(body).toMatchObject({ type: `/problems/${code}`, code, status: STATUS[PROBLEMS[code].kind], ...members })
  expect(answer.statusCode).toBe(STATUS[PROBLEMS[code].kind])
  expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/)
  expect(ProblemSchema.parse(body).requestId).toBe(answer.headers['x-request-id'])
  expect(answer.body).not.toMatch(/node_modules|\bat .+:\d+:\d+|SELECT|FST_ERR/)
}

/** Bytes as they are, for what no client library would send. */
export function raw(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let heard = ''
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      heard += chunk
      if (/\r\n\r\n.*\}$/s.test(heard)) socket.end()
    })
    socket.on('close', () => resolve(heard)).on('error', reject)
  })
}
