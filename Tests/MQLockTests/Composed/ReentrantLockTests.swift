import MQLock
import MQLockTesting
import Testing

@Suite(.timeLimit(.minutes(1))) struct ReentrantLockTests {
    private let locks = InMemoryLocks(InMemoryBroker(clock: ManualClock()))

    /// A copy could not be told from another provider, and its holder would wait for itself.
    private struct Copied: LockProvider {
        let locks: InMemoryLocks

        var capabilities: LockCapabilities { locks.capabilities }
        func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
            try await locks.acquire(name, within: limit)
        }
        func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? { try await locks.tryAcquire(name) }
    }

    private static func ran() { Issue.record("the body ran") }

    @Test func aProviderThatIsNoObjectIsRefused() async throws {
        let copied = ReentrantLock("name", on: Copied(locks: locks))
        let error = await #expect(throws: LockError.self) { try await copied.withLock { _ in Self.ran() } }
        #expect(error?.code == .invalidConfiguration)
        let object: any LockProvider = locks
        try await ReentrantLock("name", on: object).withLock { outer in
            try await ReentrantLock("name", on: locks).withLock { #expect($0.id == outer.id) }
        }
    }

    @Test func otherNamesAreOtherLocks() async throws {
        try await ReentrantLock("a", on: locks).withLock { outer in
            try await ReentrantLock("\("b")", on: locks).withLock { inner in
                #expect(inner.id != outer.id && inner.name == "b")
                try await ReentrantLock("a", on: locks).withLock { #expect($0.id == outer.id) }
            }
            try await ReentrantLock("b", on: locks).withLock { #expect($0.isValid) }
        }
    }

    /// As the article on the protocol says: whoever needs it takes a `ReentrantLock`.
    @Test func locksAsSuchAreNotReentrant() async throws {
        try await locks.withLock("a") { _ in try await isTaken("a") }
        try await ReentrantLock("a", on: locks).withLock { _ in try await isTaken("a") }
    }

    private func isTaken(_ name: LockName) async throws {
        guard let held = try await locks.tryAcquire(name) else { return }
        Issue.record("\(name) was free")
        try await held.release()
    }
}
