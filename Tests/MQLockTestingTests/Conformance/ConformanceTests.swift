import MQLock
import MQLockTesting
import Testing

@Suite struct ConformanceTests {
    @Test func theInMemoryProviderConforms() async {
        let report = await LockConformance(inMemorySubject(patience: .seconds(60))).run()
        #expect(report.hasPassed, "\(report)")
        let leftOut = report.entries.filter { $0.outcome != .passed }
        #expect(leftOut.isEmpty, "nothing has to be left out in memory")
        #expect(Set(report.entries.map(\.rule)) == Set(ConformanceRule.allCases))
    }

    /// A suite that passes a defect tests nothing. The seconds of patience are what a hang costs here: each of these
    /// is expected to fail, so an impatient suite cannot be wrong.
    @Test(arguments: [
        (Mutation.secondProcessGranted, ConformanceRule.exclusion),
        (.tokenNotIncreased, .tokens),
        (.tokensForgottenOnDelete, .tokens),
        (.lossNotReported, .lossIsReported),
        (.noProof, .localFirst),
        (.proofByReceiptTime, .localFirst),
        (.lateGrantNotPutBack, .cancellationLeaksNothing),
        (.waiterForgottenOnReconnect, .waitersSurvive),
        (.releaseTouchesSuccessor, .ownedRelease),
        (.dropNotReleased, .ownedRelease),
        (.noWaitForAnswer, .ambiguityIsSettled),
        (.polls, .noPolling),
        (.waitersUnbounded, .bounds),
        (.kindNotChecked, .oneMutexPerName),
    ])
    func aDefectIsFound(_ mutation: Mutation, _ rule: ConformanceRule) async {
        var subject = inMemorySubject(mutation, patience: .seconds(2))
        // Who polls never stands in line; this way the check counts its requests instead of waiting for it there.
        if mutation == .polls { subject.faults.contenders = nil }
        let report = await LockConformance(subject).run([rule])
        #expect(report.failedRules == [rule], "\(mutation) went unnoticed:\n\(report)")
    }

    @Test func whatCannotBeBrokenIsLeftOutWithAReason() async {
        var subject = inMemorySubject(patience: .seconds(60))
        subject.faults = ConformanceFaults()
        let report = await LockConformance(subject).run([.lossIsReported, .noPolling])
        #expect(report.hasPassed)
        #expect(report.entries.contains { $0.outcome == .leftOut("this environment has no way to end a session") })
    }
}
