import type { Document } from '../../src/http/openapi-tidy.ts'

/** Looking into a document, whoever made it. */

export type Schema = Record<string, any>

/** What a reference stands for; the thing itself when it is none. */
export function resolved<T extends object>(document: Document, given: T): T {
  const { $ref } = given as { $ref?: string }
  if ($ref === undefined) return given
  const [, , kind, name] = $ref.split('/') as [string, string, string, string]
  return resolved(document, (document.components[kind] as Record<string, T>)[name]!)
}

export interface Operation {
  path: string
  method: string
  operationId: string
  summary: string
  description?: string
  tags: string[]
  parameters?: { in: string; name: string; required?: boolean; description?: string; schema: Schema; example?: unknown }[]
  requestBody?: { required?: boolean; content: Record<string, { schema: Schema; example?: unknown }> }
  responses: Record<string, { $ref?: string; description: string; content?: Record<string, { schema: Schema; example?: unknown; examples?: Record<string, Schema> }> }>
  security?: Record<string, string[]>[]
}

export const operationsIn = (paths: Document['paths']): Operation[] =>
  Object.entries(paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ ...operation as unknown as Operation, path, method })))
