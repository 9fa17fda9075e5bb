import MQLock
import MQLockTesting
import Testing

/// Every entry point that takes a name takes text that is made at run time, and refuses what is no name.
@Suite(.timeLimit(.minutes(1))) struct NamesFromTextTests {
    private let id = 42
    private let token = FencingToken(rawValue: 7)!

    private struct Inspector: LockInspector {
        func view(_ name: LockName, within limit: Duration) async throws(LockError) -> LockView {
            throw LockError(.notOwner, name.string)
        }

        func changes(of name: LockName) -> AsyncThrowingStream<LockChange, any Error> {
            AsyncThrowingStream { $0.finish(throwing: LockError(.notOwner, name.string)) }
        }

        func askToYield(
            _ name: LockName, token: FencingToken, within limit: Duration
        ) async throws(LockError) -> YieldAnswer { .refused(name.string) }
    }

    @Test func locks() async throws {
        let provider = InMemoryLocks(InMemoryBroker())
        #expect(try await provider.withLock("customer/\(id)") { $0.name.string } == "customer/42")
        #expect(try await provider.withLock("customer/\(id)", within: .seconds(5)) { $0.name } == "customer/42")
        #expect(try await provider.withCheckedLock("customer/\(id)") { $0.name } == "customer/42")
        let held = try await provider.acquire("customer/\(id)")
        #expect(held.lease.name == "customer/42")
        #expect(try await provider.tryAcquire("customer/\(id)") == nil)
        try await held.release()
        let late = try await provider.acquire("customer/42/order".prefix(11), within: .seconds(5))
        #expect(late.lease.name == "customer/42")
        try await late.release()
        let existential: any LockProvider = provider
        #expect(try await existential.withLock("customer/\(id)") { $0.name } == "customer/42")
        // A literal is checked by the compiler's side, and needs no text to be read at run time.
        #expect(try await provider.withLock("customer/42") { $0.name } == "customer/42")
        #expect(try LeaderElection("customer/\(id)", on: provider).name == "customer/42")
    }

    @Test func jobsAndMarks() async throws {
        let provider = InMemoryLocks(InMemoryBroker())
        #expect(try await provider.once("customer/\(id)", for: .day) { $0.name }.value == "customer/42")
        let marks = try await provider.marks(of: "customer/\(id)")
        #expect(marks.count == 1)
        try await provider.write(try #require(marks.first), of: "customer/\(id + 1)")
        #expect(try await provider.marks(of: "customer/43", within: .seconds(5)) == marks)
        #expect(try await provider.withLock("customer/\(id)", least: .zero) { $0.name } == "customer/42")
        let bad = String(repeating: "n", count: 200 + id)
        for error in [
            await #expect(throws: LockError.self) { try await provider.once(bad, for: .day) { _ in } },
            await #expect(throws: LockError.self) { try await provider.marks(of: bad) },
            await #expect(throws: LockError.self) { try await provider.write(marks[0], of: bad) },
            await #expect(throws: LockError.self) { try await provider.withLock(bad, least: .zero) { _ in } },
            await #expect(throws: LockError.self) { try await provider.schedule(bad, .every(.seconds(1))) { _ in } },
        ] { #expect(error?.code == .invalidName) }
    }

    @Test func inspectorsAndGates() async throws {
        let view = await #expect(throws: LockError.self) { try await Inspector().view("customer/\(id)") }
        #expect(view?.message == "customer/42")
        #expect(try await Inspector().askToYield("customer/\(id)", token: token) == .refused("customer/42"))
        let change = await #expect(throws: LockError.self) {
            for try await _ in try Inspector().changes(of: "customer/\(id)") {}
        }
        #expect(change?.message == "customer/42")
        let gate = MemoryFenceGate()
        try gate.admit(token, for: "customer/\(id)")
        #expect(try gate.highest(for: "customer/\(id)") == token)
        #expect(try gate.withAdmission(token, for: "customer/\(id)") { true })
        #expect(try FenceStamp(name: "customer/\(id)", token: token, owner: "").name == "customer/42")
        _ = LockMetrics(nameLabel: try .only(["customer/\(id)", "customer/\(id + 1)"]))
        _ = LockMetrics(nameLabel: .only(["customer/1"]))
    }

    @Test(arguments: ["", String(repeating: "n", count: 201)]) func whatIsNoNameIsRefusedEverywhere(
        _ text: String
    ) async throws {
        let provider = InMemoryLocks(InMemoryBroker())
        let gate = MemoryFenceGate()
        let token = token
        let refusal = FenceRefusal(presented: token, highest: token)
        let calls: [@Sendable () async throws -> Void] = [
            { try await provider.withLock(text) { _ in } }, { try await provider.withCheckedLock(text) { _ in } },
            { _ = try await provider.acquire(text) }, { _ = try await provider.acquire(text, within: .seconds(1)) },
            { _ = try await provider.tryAcquire(text) }, { _ = try LeaderElection(text, on: provider) },
            { _ = try await Inspector().view(text) }, { _ = try Inspector().changes(of: text) },
            { _ = try await Inspector().askToYield(text, token: token) }, { try gate.admit(token, for: text) },
            { _ = try gate.highest(for: text) }, { try gate.withAdmission(token, for: text) {} },
            { _ = try FenceStamp(name: text, token: token, owner: "") },
            { _ = try LockMetrics.NameLabel.only([text]) }, { _ = try LockError.staleToken(refusal, name: text) },
        ]
        for call in calls {
            let error = await #expect(throws: LockError.self) { try await call() }
            #expect(error?.code == .invalidName)
        }
    }
}
