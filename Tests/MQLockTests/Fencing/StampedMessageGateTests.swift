import MQLock
import Testing

@Suite("Stamped message gate") struct StampedMessageGateTests {
    private func stamp(_ number: UInt64, _ name: LockName = "n") -> FenceStamp {
        FenceStamp(name: name, token: token(number), owner: "o")
    }

    private func present(_ stamp: FenceStamp, to gate: StampedMessageGate) throws -> StampVerdict<String> {
        try gate.withAdmission(Dictionary(uniqueKeysWithValues: stamp.headers)) { "wrote \($0.token)" }
    }

    @Test func staleIsRefusedPerLock() throws {
        let gate = StampedMessageGate(MemoryFenceGate())
        #expect(try present(stamp(5), to: gate) == .written(stamp(5), "wrote 5"))
        #expect(try present(stamp(5), to: gate) == .written(stamp(5), "wrote 5"))
        #expect(try present(stamp(9), to: gate) == .written(stamp(9), "wrote 9"))
        let refusal = FenceRefusal(presented: token(8), highest: token(9))
        #expect(try present(stamp(8), to: gate) == .stale(stamp(8), refusal))
        #expect(try present(stamp(1, "other"), to: gate) == .written(stamp(1, "other"), "wrote 1"))
    }

    @Test func whatHasNoStampIsNotWritten() throws {
        let memory = MemoryFenceGate()
        let gate = StampedMessageGate(memory, isExpected: { $0 == "n" })
        func verdict(_ headers: [String: String]) throws -> StampVerdict<Void> {
            try gate.withAdmission(headers) { _ in Issue.record("written") }
        }
        guard case .unstamped = try verdict(["x": "y"]) else { throw TestFailure("not unstamped") }
        guard case .malformed = try verdict(["mqlock-fence": "1"]) else { throw TestFailure("not malformed") }
        #expect(try present(stamp(1, "other"), to: gate) == .unexpected(stamp(1, "other")))
        #expect(try memory.highest(for: "other") == nil)
        #expect(try memory.highest(for: "n") == nil)
    }

    /// One made-up token must not shut out everybody for good.
    @Test func tokensFarAheadOfTheClockAreRefused() throws {
        let year: Int64 = 365 * 86_400_000
        let now = 1_767_225_600_000 + year
        let limit = UInt64(year + 60_000) << 21
        func gate(lead: Duration?, at now: Int64) -> StampedMessageGate {
            StampedMessageGate(MemoryFenceGate(), lead: lead, wallClock: { now })
        }
        func isWritten(_ number: UInt64, _ gate: StampedMessageGate) throws -> Bool {
            if case .written = try present(stamp(number), to: gate) { true } else { false }
        }
        let minute = gate(lead: .seconds(60), at: now)
        #expect(try !isWritten(FencingToken.maximum, minute))
        #expect(try !isWritten(limit + 1 << 22, minute))
        #expect(try isWritten(limit, minute))
        #expect(try isWritten(FencingToken.maximum, gate(lead: nil, at: now)))
        // Clocks that are wrong: before 2026, and so far ahead that every token is behind.
        #expect(try isWritten(7, gate(lead: .seconds(60), at: 0)))
        #expect(try !isWritten(limit, gate(lead: .seconds(60), at: 0)))
        #expect(try isWritten(FencingToken.maximum, gate(lead: .seconds(60), at: .max)))
    }

    @Test func refusalOfAnotherGateInsideIsNotTakenForOurs() throws {
        let inner = MemoryFenceGate()
        try inner.admit(token(9), for: "resource")
        let gate = StampedMessageGate(MemoryFenceGate())
        let error = #expect(throws: LockError.self) {
            try gate.withAdmission(FenceStamp.Reading.stamp(stamp(5))) { try inner.admit($0.token, for: "resource") }
        }
        #expect(error?.code == .staleToken)
    }

    @Test func aGateThatCannotRememberThrows() throws {
        let gate = StampedMessageGate(MemoryFenceGate(maximumNames: 1))
        _ = try present(stamp(5), to: gate)
        let error = #expect(throws: LockError.self) { try present(stamp(5, "more"), to: gate) }
        #expect(error?.code == .limitExceeded)
    }

    @Test func remembersOnDisk() throws {
        let scratch = try Scratch()
        for (index, number) in [UInt64(5), 9].enumerated() {
            let gate = StampedMessageGate(FolderFenceGate(path: scratch.path))
            #expect(try present(stamp(number), to: gate) == .written(stamp(number), "wrote \(number)"))
            if index == 1 {
                guard case .stale = try present(stamp(5), to: gate) else { throw TestFailure("not stale") }
            }
        }
    }
}

struct TestFailure: Error {
    let description: String
    init(_ description: String) { self.description = description }
}
