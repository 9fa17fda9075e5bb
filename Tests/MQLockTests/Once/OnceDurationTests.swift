import MQLock
import MQLockTesting
import Testing

/// Every duration that a job which is done once takes, at every limit.
@Suite(.timeLimit(.minutes(1))) struct OnceDurationTests {
    private let locks = InMemoryLocks(InMemoryBroker())

    @Test(arguments: Duration.extremes) func everyWaitIsLimitedByIt(_ limit: Duration) async throws {
        do throws(LockError) {
            _ = try await locks.marks(of: "job", within: limit)
            #expect(limit > .zero)
        } catch {
            #expect(error.code == .unreachable && limit <= .seconds(1))
        }
        do {
            let result = try await locks.once("job", for: .day, within: limit) { _ in }
            #expect(result.mark == nil && limit > .zero)
        } catch let error as LockError {
            #expect([.unreachable, .timedOut].contains(error.code) && limit <= .seconds(1))
        }
    }

    @Test(arguments: Duration.extremes) func aLockIsHeldAtLeastSoLong(_ least: Duration) async throws {
        let (started, start) = AsyncStream.makeStream(of: Void.self)
        let running = Task {
            try await locks.withLock("job", least: least) { lease in
                start.finish()
                return lease.isValid
            }
        }
        for await _ in started { break }
        if least > .seconds(1) {
            #expect(try await locks.tryAcquire("job") == nil)
            running.cancel()
        }
        #expect(try await running.value)
    }

    @Test(arguments: Duration.extremes) func everyTimeOfDayIsWithinWhatAMarkCanSay(_ ahead: Duration) async throws {
        locks.setTimeOfDay(ahead: ahead)
        for period in [Period.day, .month, try .every(.seconds(1)), try .key("k")] {
            _ = try await locks.once("job \(period)", for: period) { _ in }
        }
    }
}
