import ExcelJS from 'exceljs'
import { stepOnce } from '../../src/service/operations.ts'
import { IMPORT, importWork } from '../../src/service/imports.ts'
import type { Db } from '../../src/service/db.ts'
import { call, keyring } from '../processes.ts'

/** Workbooks as people make them, sent as phones and browsers send them. */

export const book = async (rows: unknown[][], change: (sheet: ExcelJS.Worksheet) => void = () => {}): Promise<Buffer> => {
  const workbook = new ExcelJS.Workbook()
  const sheet = workbook.addWorksheet('表1')
  for (const row of rows) sheet.addRow(row)
  change(sheet)
  return Buffer.from(await workbook.xlsx.writeBuffer() as ArrayBuffer)
}

export async function upload(origin: string, token: string, query: string, bytes: Uint8Array, name = 'x.xlsx'): Promise<{ status: number; body: Record<string, any> }> {
  const form = new FormData()
  form.append('file', new Blob([new Uint8Array(bytes)]), name)
  const answer = await fetch(`${origin}/v1/imports?${query}`, { method: 'POST', headers: { authorization: `Bearer ${token}` }, body: form })
  return { status: answer.status, body: await answer.json() as Record<string, any> }
}

/** Steps as the worker takes them, until there is nothing left. */
export async function work(db: Db): Promise<void> {
  for (;;) {
    const went = await stepOnce(db, keyring, { [IMPORT]: importWork(db, keyring) })
    if (!went) return
    if (went.error !== undefined) throw went.error
  }
}

export async function imported(origin: string, token: string, db: Db, query: string, bytes: Uint8Array, name?: string) {
  const { status, body } = await upload(origin, token, query, bytes, name)
  if (status !== 202) return { status, problem: body, operation: undefined, result: undefined }
  await work(db)
  const { body: operation } = await call(origin, token, 'GET', `/v1/operations/${body.operation}`)
  const { body: result } = await call(origin, token, 'GET', `/v1/imports/${body.operation}?limit=100`)
  return { status, problem: undefined, operation, result }
}
