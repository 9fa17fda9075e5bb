import Foundation
import MQLock
import MQLockRabbitMQ
import MQLockTesting

/// One of the contending processes of the demo: acquires the lock again and again and works on the shared file.
enum DemoWorker {
    /// The heartbeat of the workers' sessions: short, so that people can watch a stopped holder's lock being handed
    /// over.
    static let heartbeat = Duration.seconds(2)

    /// The hidden entry `mqlock demo-worker ID LOCK DIRECTORY [--sabotage]`. The broker's URI, which may contain a
    /// password, comes in `MQLOCK_BROKER`.
    /// - Returns: the exit status.
    static func run(_ arguments: [String]) async -> Int32 {
        let isSabotage = arguments.contains("--sabotage")
        let operands = arguments.filter { $0 != "--sabotage" }
        guard operands.count == 3 else {
            Output.process.standardError("mqlock: demo-worker is started by mqlock demo only\n")
            return ExitStatus.usage
        }
        let mailbox = DemoMailbox()
        mailbox.readStandardInput()
        do {
            var locks: WorkerLocks?
            if !isSabotage {
                locks = try WorkerLocks(owner: "demo/\(operands[0])", mutex: .token) { $0.heartbeat = heartbeat }
            }
            let worker = Worker(
                section: DemoSection(directory: operands[2], process: operands[0]), name: try LockName(operands[1]),
                locks: locks?.provider,
                recorder: HistoryRecorder(process: operands[0], appendingTo: 1, keepsEvents: false),
                mailbox: mailbox)
            let work = Task { try await worker.work() }
            mailbox.onQuit { work.cancel() }
            try await work.value
            await locks?.shutDown(.seconds(2))
            return ExitStatus.success
        } catch let error as LockError {
            send(.failed(code: error.code.description, message: error.message))
        } catch {
            send(.failed(code: "", message: "\(error)"))
        }
        return ExitStatus.internalError
    }

    fileprivate static func send(_ note: DemoNote) {
        // One write, because the recorder writes lines from other threads.
        Platform.writeAll(note.line.utf8, to: 1)
    }
}

private struct Worker: Sendable {
    let section: DemoSection
    let name: LockName
    /// Nil for sabotage: the same work without a lock.
    let locks: (any LockProvider)?
    let recorder: HistoryRecorder
    let mailbox: DemoMailbox
    private let contender = "loop"

    func work() async throws {
        var round = UInt64(0)
        while !mailbox.hasToQuit {
            round += 1
            recorder.record(.waiting, name: name.string, contender: contender)
            guard let locks else {
                try await withoutLock(round)
                continue
            }
            let held: HeldLock
            do throws(LockError) {
                held = try await locks.acquire(name, within: nil)
            } catch {
                recorder.record(.gaveUp, name: name.string, contender: contender)
                if error.code == .cancelled { return }
                throw error
            }
            try await withLock(held)
        }
    }

    private func withLock(_ held: consuming HeldLock) async throws {
        let lease = held.lease
        recorder.recordGrant(of: lease, contender: contender)
        try await visit(lease.fencingToken) { lease.isValid }
        recorder.recordEnd(of: lease, contender: contender)
        // Lost, if this worker was stopped: the history has it, and the loop goes back in line.
        try? await held.release()
    }

    private func withoutLock(_ round: UInt64) async throws {
        guard let token = FencingToken(rawValue: round) else { return }
        recorder.record(.granted(token: round), name: name.string, contender: contender)
        try await visit(token) { true }
        recorder.record(
            .ended(cause: .released, validUntil: HistoryClock.now), name: name.string, contender: contender)
    }

    private func visit(_ token: FencingToken, isValid: () -> Bool) async throws {
        if let met = try section.enter(token.rawValue) { DemoWorker.send(.met(met)) }
        DemoWorker.send(.mayWrite(token: token.rawValue))
        await mailbox.answer()
        try write(token)
        // A worker that knows that it has lost the lock expects another one inside. Any other does not.
        if let met = section.leave(token.rawValue), isValid() { DemoWorker.send(.met(met)) }
    }

    /// Writes like a careless program that does not check the lease: only the gate protects the resource.
    private func write(_ token: FencingToken) throws {
        do {
            try section.gate.withAdmission(token, for: name) {
                try section.write(token.rawValue)
                record(token, accepted: true)
            }
        } catch let error as LockError where error.code == .staleToken {
            record(token, accepted: false)
        }
    }

    private func record(_ token: FencingToken, accepted: Bool) {
        recorder.record(
            .wrote(token: token.rawValue, accepted: accepted, resource: "resource"), name: name.string,
            contender: contender)
    }
}
