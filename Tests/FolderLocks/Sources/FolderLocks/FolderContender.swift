import Foundation
import MQLock
import Synchronization

/// This process's only contender for each name; `LockFront` sees to that.
final class FolderContender: BrokerContender {
    private typealias Caller = CheckedContinuation<Result<LeaseRecord, LockError>, Never>

    /// Who wants the lock that a thread waits for.
    private struct Claimant {
        let id: UUID
        let caller: Caller
    }

    private struct State {
        /// The proof of all leases that are held now.
        var session = FolderContender.newSession()
        var isShutDown = false
        /// The names whose file a thread waits for. When nobody wants it any more the thread goes on, because nothing can
        /// take it out of the kernel's line, for the next who comes or to free the file at once.
        var waits: [LockName: Claimant?] = [:]
        var held: [LeaseID: (record: LeaseRecord, file: LockFile)] = [:]
    }

    private let folder: URL
    private let owner: String
    private let relay: ObserverRelay
    private let state = Mutex(State())
    private let opened = Atomic(0)

    init(_ folder: URL, owner: String, relay: ObserverRelay) {
        (self.folder, self.owner, self.relay) = (folder, owner, relay)
    }

    private static func newSession() -> ProofOfLife {
        // What the kernel knows needs no renewal. Other brokers: the sending instant of the last request that was answered,
        // plus the shortest time after which the broker hands a lock on, less a margin; and `extend(to:)` at each answer.
        ProofOfLife(until: .now.advanced(by: .seconds(100 * 366 * 86_400)))
    }

    // MARK: BrokerContender

    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        let id = UUID()
        let timedOut = LockError(.timedOut, "the lock \(name) was not obtained in time")
        let cancelled = LockError(.cancelled, "waiting for the lock \(name) was cancelled")
        let timer = deadline.map { deadline in
            Task {
                do { try await Task.sleep(until: deadline, clock: .continuous) } catch { return }
                self.giveUp(name, id, timedOut)
            }
        }
        defer { timer?.cancel() }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (caller: Caller) in
                wait(for: name, Claimant(id: id, caller: caller)) {
                    // A timer or a handler that ran before has found nobody. Both take the mutex, as the caller of this does.
                    if Task.isCancelled { return cancelled }
                    if let deadline, deadline <= .now { return timedOut }
                    return nil
                }
            }
        } onCancel: {
            giveUp(name, id, cancelled)
        }
        return try result.get()
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord? {
        opened.add(1, ordering: .relaxed)
        let result: Result<LeaseRecord?, LockError> = await withCheckedContinuation { continuation in
            Thread.detachNewThread { [self] in
                continuation.resume(
                    returning: Result { () throws(LockError) in
                        guard let file = try open(name, waits: false) else { return nil }
                        return try grant(name, file)
                    })
            }
        }
        return try result.get()
    }

    func release(_ record: LeaseRecord, _ ending: HoldEnding) async {
        // After a loss the file is closed already, and may be somebody else's.
        state.withLock { $0.held.removeValue(forKey: record.id)?.file }?.close()
    }

    // MARK: Waiting

    private func wait(for name: LockName, _ claimant: Claimant, unless refusal: () -> LockError?) {
        let (refusal, isFirst) = state.withLock { state -> (LockError?, Bool) in
            if let refusal = state.isShutDown ? Self.shutDown : refusal() { return (refusal, false) }
            let isFirst = state.waits[name] == nil
            // Together with the wait, not when the thread gets its turn.
            if isFirst { opened.add(1, ordering: .relaxed) }
            state.waits[name] = .some(claimant)
            return (nil, isFirst)
        }
        if let refusal { return claimant.caller.resume(returning: .failure(refusal)) }
        guard isFirst else { return }
        Thread.detachNewThread { [self] in
            let result = Result { () throws(LockError) in try open(name, waits: true) }
            guard let claimant = state.withLock({ $0.waits.removeValue(forKey: name) ?? nil }) else {
                // Too late for whoever wanted it.
                if case .success(let file?) = result { file.close() }
                return
            }
            claimant.caller.resume(
                returning: result.flatMap { file in
                    Result { () throws(LockError) in
                        guard let file else { throw LockError(.internalError, "a wait ended without a lock") }
                        return try grant(name, file)
                    }
                })
        }
    }

    private func giveUp(_ name: LockName, _ id: UUID, _ error: LockError) {
        let claimant: Claimant? = state.withLock { state in
            guard let claimant = state.waits[name] ?? nil, claimant.id == id else { return nil }
            state.waits[name] = .some(nil)
            return claimant
        }
        claimant?.caller.resume(returning: .failure(error))
    }

    private func open(_ name: LockName, waits: Bool) throws(LockError) -> LockFile? {
        // Hexadecimal, because any byte can be in a name and a file system may take two names for one; in two parts, because
        // a file's name has 255 bytes at most.
        let digits = name.utf8.map { String(format: "%02x", $0) }.joined()
        let isLong = digits.count > 200
        let place = folder.appendingPathComponent(isLong ? String(digits.prefix(200)) : "names")
        do {
            try FileManager.default.createDirectory(at: place, withIntermediateDirectories: true)
        } catch {
            throw LockError(.storageFailed, "the folder \(place.path) cannot be made", underlying: error)
        }
        return try LockFile.locked(
            place.appendingPathComponent(isLong ? String(digits.dropFirst(200)) : digits).path, waits: waits)
    }

    private func grant(_ name: LockName, _ file: LockFile) throws(LockError) -> LeaseRecord {
        let record: LeaseRecord? = state.withLock { state in
            guard !state.isShutDown else { return nil }
            let record = LeaseRecord(name: name, token: file.token, owner: owner, proof: state.session)
            state.held[record.id] = (record, file)
            return record
        }
        guard let record else {
            file.close()
            throw Self.shutDown
        }
        return record
    }

    private static let shutDown = LockError(.shutDown, "this lock provider was shut down")

    // MARK: The session

    /// Closes all files that are held: their leases are lost first.
    func endSession(_ reason: LossReason) {
        let (session, held) = state.withLock { state in
            defer { (state.session, state.held) = (Self.newSession(), [:]) }
            return (state.session, state.held.values.map { $0 })
        }
        for (record, _) in held { record.lose(reason) }
        session.end()
        for (_, file) in held { file.close() }
        relay.report(.disconnected, owner: owner, reason: reason)
    }

    func shutdown() {
        let claimants = state.withLock { state in
            state.isShutDown = true
            defer { state.waits = state.waits.mapValues { _ in nil } }
            return state.waits.values.compactMap(\.self)
        }
        for claimant in claimants { claimant.caller.resume(returning: .failure(Self.shutDown)) }
        endSession(LossReason(.shutdown))
    }

    // MARK: For tests

    /// How often a file was opened.
    var requests: Int { opened.load(ordering: .relaxed) }

    /// Whether this process holds the name, or waits for it.
    func contends(for name: LockName) -> Bool {
        state.withLock { state in
            state.waits[name] != nil || state.held.values.contains { $0.record.name == name }
        }
    }
}
