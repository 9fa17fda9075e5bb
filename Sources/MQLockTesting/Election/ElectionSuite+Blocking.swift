import MQLock

// User code that blocks does not hold up its candidate.
extension ElectionSuite {
    var blockingChecks: [Check] {
        [
            Check("a body whose cancellation handler blocks is reported, and awaited") { bench in
                var settings = bench.settings
                settings.stopTimeout = .milliseconds(300)
                let (leader, other, entry) = try await bench.pair(settings)
                let meeting = Meeting(of: 2, patience: bench.subject.patience * 4)
                defer { meeting.arrive() }
                leader.onCancel.withLock { $0 = { meeting.attend() } }
                let resigning = Task { await leader.election.resign() }
                _ = try await bench.pace.passing("the event", upTo: bench.subject.handOverLimit) {
                    await leader.log.first { $0.kind == .overdue }
                }
                try bench.require(bench.stage.count == entry.number, "another was elected beside it")
                meeting.arrive()
                try await bench.pace.within("the resignation") { await resigning.value }
                let next = try await bench.next(after: entry.number, "the next leader")
                try bench.require(next.owner == other.owner, "\(next.owner) leads although it has resigned")
            },
            Check("a health probe whose cancellation handler blocks keeps nobody waiting") { bench in
                let meeting = Meeting(of: 2, patience: bench.subject.patience * 4)
                defer { meeting.arrive() }
                let begun = Replay<Void>()
                var settings = bench.settings
                settings.health = .probe(every: bench.subject.handOverLimit / 100, within: .seconds(86_400)) {
                    await withTaskExecutorPreference(OwnThread()) {
                        await withTaskCancellationHandler {
                            begun.send(())
                            for await _ in AsyncStream<Never>.makeStream().stream {}
                        } onCancel: {
                            meeting.attend()
                        }
                    }
                    return true
                }
                let leader = try await bench.player("first", settings)
                leader.run()
                let entry = try await bench.next(after: 0, "the first leader")
                _ = try await bench.pace.passing("the probe", upTo: bench.subject.handOverLimit) {
                    await begun.first { true }
                }
                leader.order(.finish)
                let error = try await bench.pace.passing("the end of run", upTo: bench.subject.handOverLimit) {
                    await leader.ended()
                }
                try bench.require(error == nil, "run threw \(String(describing: error))")
                let other = try await bench.player("second")
                other.run()
                _ = try await bench.next(other, after: entry.number, "the next leader")
            },
        ]
    }
}
