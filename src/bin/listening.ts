import { once } from 'node:events'
import { createServer } from 'node:net'
import { Failure, type Config } from './config.ts'

/** Says at once what would be found out only after all else is up. */
export async function portFree({ HOST: host, PORT: port }: Config): Promise<void> {
  const probe = createServer().listen({ host, port })
  await once(probe, 'listening').catch((error: unknown) => { throw unlistenable(error, { HOST: host, PORT: port }) })
  probe.close()
  await once(probe, 'close')
}

/** Why nobody can listen there, in words for the operator; anything else as it is. */
export function unlistenable(error: unknown, { HOST: host, PORT: port }: Pick<Config, 'HOST' | 'PORT'>, variable = 'PORT'): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EADDRINUSE') return new Failure(`port ${port} on ${host} is in use; set ${variable} to another one`)
  return code?.startsWith('E') ? new Failure(`cannot listen on ${host}:${port} (${code})`) : error
}
