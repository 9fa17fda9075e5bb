import MQLock
import MQLockTesting
import Testing

/// Durations come from users: none of them traps, whatever it is added to or how it is shown.
@Suite(.timeLimit(.minutes(2))) struct DurationLimitsTests {
    @Test(arguments: Duration.extremes) func everyInstantPlusADurationIsAnInstant(_ duration: Duration) {
        for base in [ContinuousClock.now, ContinuousClock.now.after(.longest), ContinuousClock.now.before(.longest)] {
            let (later, earlier) = (base.after(duration), base.before(duration))
            #expect((later >= base) == (duration >= .zero) && (earlier <= base) == (duration >= .zero))
            // What the runtime, a lease and a guard make of it.
            #expect(abs(base.duration(to: later).nanoseconds) <= Duration.longest.nanoseconds)
        }
        #expect(!duration.readable.isEmpty && duration.seconds.isFinite)
        #expect((duration.nanoseconds > 0) == (duration >= .nanoseconds(1)))
    }

    @Test(arguments: Duration.extremes) func aProofUntilThenStandsOrNot(_ duration: Duration) {
        let clock = ManualClock()
        let proof = ProofOfLife(until: clock.now.after(duration), clock: clock)
        #expect(proof.isAlive == (duration >= .nanoseconds(1)))
        #expect(proof.extend(to: clock.now.after(duration)) == proof.isAlive)
    }

    /// On real time: what is tried is the runtime's own arithmetic, too.
    @Test(arguments: Duration.extremes) func everyWaitIsLimitedByIt(_ limit: Duration) async throws {
        let broker = InMemoryBroker()
        let (mine, theirs) = (InMemoryLocks(broker), InMemoryLocks(broker))
        for locks in [mine, theirs] {
            // A wait that is over is over, also when the lock is taken at the broker or in this process.
            let held = try await mine.acquire("taken")
            let wait = Task { () async -> LockError.Code? in
                do throws(LockError) {
                    let late = try await locks.acquire("taken", within: limit)
                    return await code(ofReleasing: late)
                } catch {
                    return error.code
                }
            }
            if limit > .seconds(1) {
                let start = ContinuousClock.now
                while broker.contenders(for: "taken") < 2, locks !== mine, start.duration(to: .now) < .seconds(30) {
                    await Task.yield()
                }
                try await held.release()
                #expect(await wait.value == nil)
            } else {
                #expect(await wait.value == .timedOut)
                try await held.release()
            }
        }
        guard limit > .seconds(1) else { return }
        #expect(try await mine.withLock("free", within: limit) { $0.isValid })
        #expect(try await mine.withCheckedLock("free", within: limit) { $0.isValid })
    }

    @Test(arguments: Duration.extremes) func everyMarginOfACheck(_ margin: Duration) async throws {
        let held = try await InMemoryLocks(InMemoryBroker()).acquire("checked")
        let lease = held.lease
        if margin <= .seconds(1) {
            try lease.check(atLeast: margin)
        } else {
            let error = #expect(throws: LockError.self) { try lease.check(atLeast: margin) }
            #expect(error?.code == .leaseTooShort)
        }
        try await held.release()
    }

    @Test(arguments: Duration.extremes.filter { $0 >= .zero }) func aManualClockMovesAsFarAsItCan(
        _ duration: Duration
    ) async {
        let clock = ManualClock()
        let (start, record) = (clock.now, LeaseRecord(clock: clock))
        clock.advance(by: duration)
        clock.advance(by: duration)
        #expect(start.duration(to: clock.now) >= min(duration, .longest))
        #expect(record.isValid == (duration < .seconds(5)))
    }

    /// Every duration that a candidate takes, at every limit.
    @Test(arguments: Duration.extremes) func everySettingOfAnElection(_ duration: Duration) async throws {
        let settings: [@Sendable (inout ElectionSettings) -> Void] = [
            { $0.backoff = min(duration, .seconds(1))...max(duration, .seconds(1)) },
            { $0.backoff = min(duration, .milliseconds(1))...max(duration, .milliseconds(1)) },
            { $0.steadyAfter = duration }, { $0.stopNotice = duration }, { $0.stopTimeout = duration },
            { $0.standAside = duration }, { $0.health = .progress(within: duration) },
            { $0.health = .probe(every: duration, within: .seconds(60)) { true } },
            { $0.health = .probe(every: .seconds(60), within: duration) { true } },
        ]
        struct Failure: Error {}
        for set in settings {
            var chosen = ElectionSettings()
            set(&chosen)
            let election: LeaderElection
            do throws(LockError) {
                election = try LeaderElection("led", on: InMemoryLocks(InMemoryBroker()), settings: chosen)
            } catch {
                #expect(duration <= .zero && error.code == .invalidConfiguration)
                continue
            }
            _ = try await election.campaign(within: .longest)
            await election.resign()
            let events = election.events
            // Elected, back off, and whatever is waited for then is given up.
            let running = Task {
                try await election.run { leadership in
                    await leadership.cede()
                    throw Failure()
                }
            }
            for await event in events where [.ended, .withdrawn].contains(event.kind) { break }
            await election.resign()
            let ended = await running.result
            if case .failure(let error) = ended { #expect((error as? LockError)?.code == .unhealthy) }
        }
    }
}
