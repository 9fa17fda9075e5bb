import MQLock

// Leaderships that end in good order.
extension ElectionSuite {
    var endChecks: [Check] {
        [
            Check("who has resigned does not lead again unasked") { bench in
                let (leader, other, entry) = try await bench.pair()
                try await bench.pace.within("the resignation", leader.election.resign)
                let error = try await bench.pace.within("the end of run", leader.ended)
                try bench.require(error == nil, "run threw \(String(describing: error))")
                let next = try await bench.next(after: entry.number, "the next leader")
                try bench.require(next.owner == other.owner, "\(next.owner) leads although it has resigned")
                try await bench.pace.within("the other's resignation", other.election.resign)
                // Free now: a candidate that has not really resigned would get it before a newcomer.
                let third = try await bench.player("third")
                third.run()
                let last = try await bench.next(after: next.number, "a newcomer")
                try bench.require(last.owner == third.owner, "\(last.owner) leads although it has resigned")
                third.order(.finish)
                leader.run()
                _ = try await bench.next(leader, after: last.number, "one that is asked to campaign again")
            },
            Check("ceded leadership goes to another, and may come back") { bench in
                var (leader, other, entry) = try await bench.pair()
                while true {
                    try await bench.pace.within("the leader to cede", leader.election.cede)
                    let token = entry.leadership.fencingToken
                    let ended = try await bench.pace.within("the end of what was ceded") { [leader] in
                        await leader.log.first { $0.kind == .ended && $0.fencingToken == token }
                    }
                    if ended?.end?.kind == .ceded { break }
                    // Interrupted just before.
                    try bench.require(bench.subject.joiningInterrupts, "it ended by \(String(describing: ended?.end))")
                    entry = try await bench.next(after: entry.number, "the leader again")
                    if entry.owner != leader.owner { (leader, other) = (other, leader) }
                }
                let next = try await bench.next(after: entry.number, "the next leader")
                try bench.require(next.owner == other.owner, "\(next.owner) leads although it has ceded")
                try await bench.pace.within("the resignation", other.election.resign)
                _ = try await bench.next(leader, after: next.number, "the one that ceded")
            },
            Check("ceded leadership comes back when nobody else wants it") { bench in
                let only = try await bench.player("only")
                only.run()
                let entry = try await bench.next(after: 0, "the leader")
                try await bench.pace.within("the leader to cede", only.election.cede)
                _ = try await bench.next(after: entry.number, "the one that ceded")
            },
            Check("a cancelled run ends the body, and another leads") { bench in
                let (leader, other, entry) = try await bench.pair()
                leader.stop()
                let error = try await bench.pace.within("the end of run", leader.ended)
                try bench.require(error == nil, "run threw \(String(describing: error))")
                let next = try await bench.next(after: entry.number, "the next leader")
                try bench.require(next.owner == other.owner, "\(next.owner) leads although it was stopped")
            },
            Check("a shutdown ends a run before it has begun") { bench in
                let player = try await bench.player("only")
                try await bench.pace.within("the shutdown", player.election.shutdown)
                player.run()
                try await bench.isShutDown(player)
                try bench.require(bench.stage.count == 0, "it led although it was shut down")
            },
            Check("a shutdown ends a run that leads, and one that stands in line") { bench in
                let (leader, other, entry) = try await bench.pair()
                try await bench.pace.within("the shutdown of who waits", other.election.shutdown)
                try await bench.isShutDown(other)
                try await bench.pace.within("the shutdown of the leader", leader.election.shutdown)
                try await bench.isShutDown(leader)
                let third = try await bench.player("third")
                third.run()
                _ = try await bench.next(third, after: entry.number, "a newcomer")
            },
            Check("a shutdown by the body itself ends its run") { bench in
                let leader = try await bench.player("first")
                leader.habit.withLock { $0 = { [election = leader.election] _ in await election.shutdown() } }
                leader.run()
                try await bench.isShutDown(leader)
                try bench.require(bench.stage.count > 0, "it never led")
            },
            Check("a shutdown ends a run that rests") { bench in
                var settings = bench.settings
                settings.backoff = .seconds(3600) ... .seconds(3600)
                let leader = try await bench.player("first", settings)
                leader.habit.withLock { $0 = { _ in throw ElectionBench<Candidate>.BodyError() } }
                leader.run()
                _ = try await bench.pace.passing("a rest", upTo: bench.subject.handOverLimit * 3) {
                    await leader.log.first { $0.kind == .resting }
                }
                try await bench.pace.within("the shutdown", leader.election.shutdown)
                try await bench.isShutDown(leader)
            },
            Check("a shutdown does not wait for a body that ignores it for ever") { bench in
                var settings = bench.settings
                settings.stopTimeout = .milliseconds(300)
                let leader = try await bench.player("first", settings)
                leader.run()
                _ = try await bench.next(after: 0, "the leader")
                leader.order(.ignore)
                try await bench.pace.passing("the shutdown", upTo: bench.subject.handOverLimit) {
                    await leader.election.shutdown()
                }
                let error = try await bench.pace.within("the end of run", leader.ended)
                try bench.require(
                    (error as? LockError)?.code == .timedOut, "run ended with \(String(describing: error))")
                leader.order(.obey)
            },
            Check("a body that ignores its cancellation is reported, and awaited") { bench in
                var settings = bench.settings
                settings.stopTimeout = .milliseconds(300)
                let (leader, other, entry) = try await bench.pair(settings)
                leader.order(.ignore)
                let resigning = Task { await leader.election.resign() }
                _ = try await bench.pace.passing("the event", upTo: bench.subject.handOverLimit) {
                    await leader.log.first { $0.kind == .overdue }
                }
                try bench.require(bench.stage.count == entry.number, "another was elected beside it")
                leader.order(.obey)
                try await bench.pace.within("the resignation") { await resigning.value }
                let next = try await bench.next(after: entry.number, "the next leader")
                try bench.require(next.owner == other.owner, "\(next.owner) leads although it has resigned")
            },
            Check("a cancelled run does not wait for such a body for ever, which keeps the leadership") { bench in
                var settings = bench.settings
                settings.stopTimeout = .milliseconds(300)
                let (leader, _, entry) = try await bench.pair(settings)
                leader.order(.ignore)
                leader.stop()
                let error = try await bench.pace.passing("the end of run", upTo: bench.subject.handOverLimit) {
                    await leader.ended()
                }
                try bench.require(
                    (error as? LockError)?.code == .timedOut, "run ended with \(String(describing: error))")
                try bench.require(bench.stage.count == entry.number, "another was elected beside it")
                leader.order(.obey)
                _ = try await bench.next(after: entry.number, "the next leader")
            },
            Check("a leader without progress resigns") { bench in
                var settings = bench.settings
                let limit = bench.subject.handOverLimit / 5
                settings.health = .progress(within: limit)
                let (clock, move) = (bench.subject.clock, bench.subject.pass)
                let leader = try await bench.player("first", settings)
                let beats = Locked(0)
                let isIdle = Replay<Void>()
                leader.habit.withLock { habit in
                    habit = { leadership in
                        // It makes progress for longer than the limit. The body moves the clock, so the clock does not
                        // run ahead of it.
                        for _ in 0..<8 {
                            if let move {
                                await move(limit / 4)
                            } else {
                                try await clock.sleep(until: clock.now.after(limit / 4))
                            }
                            leadership.madeProgress()
                            beats.withLock { $0 += 1 }
                        }
                        isIdle.send(())
                    }
                }
                leader.run()
                _ = try await bench.pace.within("the leader's first work") { await isIdle.first { true } }
                let error = try await bench.pace.passing("the end of run", upTo: limit * 12) { await leader.ended() }
                try bench.require(
                    (error as? LockError)?.code == .unhealthy, "run ended with \(String(describing: error))")
                try bench.require(beats.withLock { $0 } == 8, "it resigned while it made progress")
                _ = try await bench.pace.within("the word of why") {
                    await leader.log.first { $0.kind == .ended && $0.end?.kind == .unhealthy }
                }
                let other = try await bench.player("second")
                other.run()
                _ = try await bench.next(other, after: 1, "the next leader")
            },
            Check("a leader whose body fails backs off, longer each time") { bench in
                let flapper = try await bench.player("flapper")
                flapper.habit.withLock { $0 = { _ in throw ElectionBench<Candidate>.BodyError() } }
                flapper.run()
                for turn in 0..<4 { _ = try await bench.next(after: turn, "turn \(turn + 1)") }
                // The last leadership may still continue.
                _ = try await bench.pace.within("the word that it has failed") {
                    await flapper.log.first { $0.kind == .ended && $0.end?.kind == .failed && $0.end?.error != nil }
                }
                let token = bench.stage.entries.soFar[3].leadership.fencingToken
                _ = try await bench.pace.within("the fourth election") {
                    await flapper.log.first { $0.kind == .elected && $0.fencingToken == token }
                }
                let rests = flapper.log.soFar.filter { $0.kind == .resting }.compactMap(\.duration)
                try bench.require(rests.count >= 3, "it rested \(rests.count) times between four leaderships")
                for (rest, longest) in zip(rests, [50, 100, 200].map { Duration.milliseconds($0) }) {
                    try bench.require(
                        rest >= longest / 2 && rest <= longest, "it rested for \(rests.map(\.readable))")
                }
                // While it rests, and after, another leads without being disturbed.
                let other = try await bench.player("other")
                other.run()
                let entry = try await bench.next(other, after: 4, "another")
                try bench.require(
                    bench.subject.joiningInterrupts || entry.leadership.isValid, "the other does not lead")
            },
        ]
    }
}
