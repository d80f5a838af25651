import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { Problem, type ProblemCode } from '../domain/problems.ts'
import { bodyOf, PROBLEM_JSON, STATUS } from './problem-json.ts'

const CODES: Record<string, ProblemCode> = { HPE_HEADER_OVERFLOW: 'headers-too-large', ERR_HTTP_REQUEST_TIMEOUT: 'sent-too-slowly' }

/** What Node refuses before there is a request. Written to the bare socket; the caller's language is not known here. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  const problem = new Problem(CODES[error.code ?? ''] ?? 'http-malformed')
  const status = STATUS[problem.kind]
  const requestId = randomUUID()
  const body = JSON.stringify(bodyOf(problem, [], 'zh', requestId))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    `content-type: ${PROBLEM_JSON}; charset=utf-8`,
    'content-language: zh-CN',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${requestId}`,
    'connection: close',
  ]
  if (socket.writable) socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  socket.destroySoon()
}
