import Foundation
import MQLock
import MQLockLineReader
import MQLockTesting

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// Presents tokens to a fence gate, new and stale ones, as fast as it can until it is killed, and writes down what was
/// admitted in a file that all such processes share: lines `NAME TOKEN`, in the order of the writes.
///
/// `TortureWorker fence GATE LEDGER KIND/SEED/STEPS`: kills itself before its STEPS-th step on the gate's files; 0: never.
struct FenceWriter {
    let gate: any FenceGate
    let ledger: Int32
    var generator: SeededGenerator

    init?(gate path: String, ledger: String, plan: String) {
        let words = plan.split(separator: "/")
        guard words.count == 3, let seed = UInt64(words[1]), let steps = Int(words[2]) else { return nil }
        let left = Locked(steps)
        let die: @Sendable (FenceFileStep) throws(LockError) -> Void = { _ in
            left.withLock { left in
                left -= 1
                if left == 0 { kill(getpid(), SIGKILL) }
            }
        }
        switch words[0] {
        case "file": gate = FileFenceGate(path: path, before: die)
        case "folder": gate = FolderFenceGate(path: path, before: die)
        case "naive": gate = NaiveFenceGate(path: path)
        default: return nil
        }
        self.ledger = open(ledger, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
        generator = SeededGenerator(seed)
    }

    mutating func run() -> Never {
        // With the test's end of the pipe ends this process.
        Thread.detachNewThread {
            for _ in LineReader() {}
            exit(0)
        }
        say("ready")
        while true {
            let name: LockName = ["a", "b", "c"].randomElement(using: &generator)!
            // Clocks of all processes agree, so somebody else was here with a larger one if this lags.
            let lag = Bool.random(using: &generator) ? Int64.random(in: 0...20_000_000, using: &generator) : 0
            let token = FencingToken(rawValue: UInt64(Boot.now - lag))!
            do {
                try gate.withAdmission(token, for: name) {
                    let line = Array("\(name) \(token)\n".utf8)
                    _ = write(ledger, line, line.count)
                }
            } catch let error as LockError where error.code == .staleToken {
                if let refusal = error.refusal, refusal.presented < refusal.highest { continue }
                say("failed refused without a reason")
            } catch {
                say("failed \(error)")
            }
        }
    }
}

/// What the tests have to catch: reads, compares and writes without keeping others out, over the old contents.
private struct NaiveFenceGate: FenceGate {
    let path: String

    func withAdmission<Result>(
        _ token: FencingToken, for name: LockName, _ write: () throws -> Result
    ) throws -> Result {
        if let highest = try highest(for: name), token < highest {
            throw LockError.staleToken(FenceRefusal(presented: token, highest: highest), name: name)
        }
        try token.description.write(toFile: "\(path).\(name)", atomically: false, encoding: .utf8)
        return try write()
    }

    func highest(for name: LockName) throws(LockError) -> FencingToken? {
        (try? String(contentsOfFile: "\(path).\(name)", encoding: .utf8)).flatMap { FencingToken($0) }
    }
}
