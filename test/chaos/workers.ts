import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generateKeyring } from '../../src/service/keyring.ts'

/** A real worker process that can be killed, stopped and told a wrong time. */
export interface WorkerProcess {
  readonly name: string
  /** It has said that it works, and is not stopped. */
  readonly awake: boolean
  /** How often it has ended although nobody had asked it to. */
  readonly collapses: number
  start(): Promise<void>
  kill(): Promise<void>
  hang(): void
  goOn(): void
  /** SIGTERM. @returns milliseconds until it is gone */
  end(): Promise<number>
  /** Its wall clock from now on, off by so many days; timers go on as they are. Does nothing without faketime. */
  shiftClock(days: number): void
  /** All it has written to its log. */
  log(): string
}

/** Where libfaketime is; undefined when it is not installed (Debian: faketime). */
export function faketimeLibrary(): string | undefined {
  const found = spawnSync('faketime', ['-f', '+0', 'sh', '-c', 'echo "$LD_PRELOAD"'], { encoding: 'utf8' })
  return found.status === 0 ? found.stdout.trim() || undefined : undefined
}

export interface WorkersOptions {
  env: Record<string, string>
  /** The built program, or a mutant of it. */
  dist: string
  /** Hears whenever one wakes or falls silent. */
  changed(): void
}

export function workerProcesses(names: string[], { env, dist, changed }: WorkersOptions): { workers: WorkerProcess[]; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'wish-wall-chaos-workers-'))
  const keyring = join(folder, 'keyring.json')
  writeFileSync(keyring, JSON.stringify(generateKeyring()), { mode: 0o600 })
  const library = faketimeLibrary()
  return { workers: names.map(worker), remove: () => rmSync(folder, { recursive: true, force: true }) }

  function worker(name: string): WorkerProcess {
    const clock = join(folder, `${name}.clock`)
    const shift = (days: number) => writeFileSync(clock, `${days < 0 ? '-' : '+'}${Math.abs(days)}d\n`)
    shift(0)
    // The monotonic clock is nobody's to set: a machine's wall clock is stepped, its timers are not.
    const faked = library === undefined ? {} : { LD_PRELOAD: library, FAKETIME_TIMESTAMP_FILE: clock, FAKETIME_CACHE_DURATION: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' }
    let child: ChildProcess | undefined
    let working = false
    let hanging = false
    let log = ''
    let collapses = 0
    let asked = false
    process.once('exit', () => child?.kill('SIGKILL'))
    const set = (next: { working?: boolean; hanging?: boolean }) => {
      working = next.working ?? working
      hanging = next.hanging ?? hanging
      changed()
    }
    return {
      name,
      get awake() { return working && !hanging },
      get collapses() { return collapses },
      log: () => log,
      shiftClock: (days) => { if (library !== undefined) shift(days) },
      async start() {
        const started = spawn(process.execPath, [`${dist}/bin/wish-wall.js`, 'worker'], {
          env: { PATH: process.env.PATH, WISHWALL_KEYRING_FILE: keyring, LOG_LEVEL: 'info', ...env, ...faked }, stdio: ['ignore', 'pipe', 'pipe'],
        })
        child = started
        asked = false
        started.once('exit', () => {
          if (working && !asked) collapses++
          set({ working: false })
        })
        const said = new Promise<void>((resolve) => {
          for (const stream of [started.stdout, started.stderr]) {
            stream.on('data', (chunk: Buffer) => {
              const text = chunk.toString()
              log += text
              if (!text.includes('"msg":"working"')) return
              set({ working: true })
              resolve()
            })
          }
        })
        // Begun while PostgreSQL is away, it ends with one line: as its supervisor would, the campaign starts it again.
        await Promise.race([said, once(started, 'exit')])
      },
      async kill() {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
        const ended = once(child, 'exit')
        asked = true
        child.kill('SIGKILL')
        await ended
      },
      hang() {
        child?.kill('SIGSTOP')
        set({ hanging: true })
      },
      goOn() {
        child?.kill('SIGCONT')
        set({ hanging: false })
      },
      async end() {
        if (child === undefined || child.exitCode !== null || child.signalCode !== null) return 0
        const began = performance.now()
        const ended = once(child, 'exit')
        asked = true
        child.kill('SIGTERM')
        await ended
        return performance.now() - began
      },
    }
  }
}
