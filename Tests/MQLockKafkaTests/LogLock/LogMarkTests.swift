import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// A session that is asked for marks and writes them.
@Suite struct LogMarkTests {
    private func read(_ desk: inout LogDesk, _ number: UInt64) {
        desk.take(desk.session.request(number, .read("n"), at: desk.moment))
    }

    private func write(_ desk: inout LogDesk, _ number: UInt64) {
        desk.take(desk.session.request(number, .write("n", .number(number)), at: desk.moment))
    }

    @Test func aReadIsAnsweredOnceTheSessionIsOpen() {
        var desk = LogDesk()
        read(&desk, 1)
        #expect(!desk.effects.contains(.marks(1, [])))
        desk.settle()
        #expect(desk.effects.contains(.marks(1, [])))
        write(&desk, 2)
        desk.settle()
        read(&desk, 3)
        #expect(desk.effects.last == .marks(3, [.number(2)]))
        #expect(desk.session.requests.isEmpty)
    }

    @Test func aWriteIsDoneWhenItWasReadBack() {
        var desk = LogDesk()
        write(&desk, 1)
        // In one go with the session's first record.
        #expect(desk.outbox.count == 2)
        desk.put(desk.outbox.removeFirst())
        #expect(!desk.effects.contains(.marked(1)))
        desk.settle()
        #expect(desk.effects.contains(.marked(1)))
    }

    /// It also proves that the session lives.
    @Test func aMarkProvesItsSession() {
        var desk = LogDesk()
        desk.settle()
        desk.pass(.seconds(2))
        let sent = desk.now
        write(&desk, 1)
        desk.settle()
        #expect(desk.session.provenUntil == sent.advanced(by: .seconds(9)))
    }

    @Test func whatHasNoEffectIsNotDone() {
        var desk = LogDesk()
        desk.settle()
        write(&desk, 1)
        let record = desk.outbox.removeFirst()
        desk.put(.expire(LogDesk.own, seen: 0))
        desk.put(record)
        #expect(desk.session.end == .expired)
        #expect(!desk.effects.contains(.marked(1)))
    }

    /// What an earlier session of the same process has written comes when that session is gone.
    @Test func whatComesTooLateIsNotDone() {
        var desk = LogDesk()
        desk.settle()
        write(&desk, 1)
        desk.put(.done(LogDesk.other, "n", .number(1)))
        #expect(!desk.effects.contains(.marked(1)) && desk.session.view.table.done.texts.isEmpty)
        desk.settle()
        #expect(desk.effects.contains(.marked(1)))
    }

    /// An earlier session of the same process has written it, which is not gone yet.
    @Test func whatAnEarlierSessionHasWrittenIsDone() {
        var desk = LogDesk()
        desk.put(LogDesk.openOther())
        write(&desk, 1)
        desk.put(.done(LogDesk.other, "n", .number(1)))
        #expect(desk.effects.contains(.marked(1)))
        desk.settle()
        #expect(desk.effects.count { $0 == .marked(1) } == 1)
        #expect(desk.session.view.table.done.marks(of: "n") == [.number(1)])
    }

    @Test func whatNobodyAsksForAnyMoreIsNotAnswered() {
        var desk = LogDesk()
        read(&desk, 1)
        write(&desk, 2)
        for number in [1, 2] as [UInt64] { desk.take(desk.session.giveUpRequest(number, at: desk.moment)) }
        desk.settle()
        #expect(!desk.effects.contains(.marks(1, [])) && !desk.effects.contains(.marked(2)))
    }

    /// Sessions that spread names in another way write their marks elsewhere: until they are gone nobody can say.
    @Test func whileNamesMayBeElsewhereNothingIsReported() {
        var desk = LogDesk(partitions: 4)
        desk.put(LogDesk.openOther(partitions: 1), age: 3_600_000)
        read(&desk, 1)
        desk.settle()
        #expect(!desk.effects.contains(.marks(1, [])))
        for _ in 0..<16 {
            desk.pass(.seconds(1))
            desk.tick()
            desk.settle()
        }
        #expect(desk.effects.contains(.marks(1, [])))
    }

    /// Programs that look now and then need not open a session each time.
    @Test func whoAsksKeepsTheSession() {
        var desk = LogDesk()
        desk.settle()
        for second in 0..<180 {
            if second % 50 == 0 { read(&desk, UInt64(second)) }
            desk.pass(.seconds(1))
            desk.tick()
            desk.settle()
        }
        #expect(desk.session.end == nil)
        for _ in 0..<60 {
            desk.pass(.seconds(1))
            desk.tick()
            desk.settle()
        }
        #expect(desk.session.end == .idle)
    }
}
