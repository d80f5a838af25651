import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DemoFile } from '../../src/bin/demo.ts'
import { eventually } from '../processes.ts'

/** Whoever has just cloned the project and holds himself to its README. */

export const PROJECT = join(import.meta.dirname, '../..')
export const README = readFileSync(join(PROJECT, 'README.md'), 'utf8')

export interface Newcomer {
  /** A folder of his own, with `data` in it. */
  home: string
  demo: DemoFile
  leave(): Promise<void>
}

/** `npm start` on an empty folder, till the banner is there. */
export async function newcomer(env: Record<string, string> = {}): Promise<Newcomer> {
  const home = await realpath(await mkdtemp(join(tmpdir(), 'wish-wall-readme-')))
  await chmod(home, 0o755) // for the user that PostgreSQL runs as when we are root
  const wishWall = spawn(process.execPath, [join(PROJECT, 'dist/bin/wish-wall.js'), 'start'], {
    env: { PATH: process.env.PATH, PORT: '0', WISHWALL_DATA: join(home, 'data'), ...env }, stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  wishWall.stdout.on('data', (chunk: Buffer) => { output += chunk.toString() })
  await eventually(async () => {
    if (wishWall.exitCode !== null) throw new Error(`it ended:\n${output}`)
    return output.includes('Ctrl-C') // the last line of the banner
  }, 60_000)
  return {
    home,
    demo: JSON.parse(await readFile(join(home, 'data/demo.json'), 'utf8')) as DemoFile,
    leave: async () => {
      const ended = once(wishWall, 'exit')
      wishWall.kill('SIGINT')
      await ended
      await rm(home, { recursive: true, force: true })
    },
  }
}
