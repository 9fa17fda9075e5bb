import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

@Suite struct ObjectNamesTests {
    @Test func namesThatDifferInControlCharactersStayApart() throws {
        let names = try ["a\rb", "a\nb", "ab", "a%0Db"].map { try ObjectNames(LockName($0), vhost: "/").queue }
        #expect(Set(names).count == names.count)
    }
}

@Suite struct TokenMessageTests {
    @Test func refusesWhatIsFarTooLong() {
        #expect(TokenMessage(payload: Array(repeating: 0x20, count: 1 << 20)) == nil)
    }

    @Test func noncesAreFreshAndReadBack() {
        let nonces = Set((0..<1000).map { _ in Nonce() })
        #expect(nonces.count == 1000)
        for nonce in nonces { #expect(Nonce(nonce.description) == nonce) }
    }
}

@Suite struct TokenNumberTests {
    private let now = Date(timeIntervalSince1970: 1_767_225_600 + 1)

    @Test(
        arguments: [
            (.max, 0), (1000 << 21, .max), (1000 << 21, -1), (UInt64(Int64.max), 1),
            // A day and a second ahead.
            (86_402_000 << 21, 0),
        ] as [(UInt64, Int64)])
    func numbersOutOfBoundsAreRefused(number: UInt64, count: Int64) {
        #expect(throws: LockError.self) { try TokenNumber.fence(number: number, count: count, at: now) }
    }
}

@Suite struct QueueArgumentsTests {
    /// -1 is required from 4.0 and destroys the token before.
    @Test(arguments: [
        ("3.8.0", false), ("3.10.8", false), ("3.13.7", false), ("4.0.0", true), ("4.2.9", true), ("4.3.5", true),
        ("5.0.0", true),
    ])
    func theDeliveryLimitFollowsTheVersion(version: String, limited: Bool) throws {
        let arguments = QueueArguments.token(try #require(BrokerVersion(version)))
        #expect(arguments.pairs["x-delivery-limit"] == (limited ? .int64(-1) : nil))
        #expect(arguments.pairs["x-queue-type"] == .string("quorum"))
    }

    /// A token must not expire before its register, which would then name a token that is no more.
    @Test func theRegisterExpiresFirst() throws {
        let token = try #require(QueueArguments.token(BrokerVersion(3, 10, 8)).pairs["x-expires"]?.integer)
        let register = try #require(QueueArguments.register(Nonce()).pairs["x-expires"]?.integer)
        #expect(register >= 7 * 24 * 60 * 60 * 1000)
        #expect(token >= 2 * register)
    }

    @Test(
        arguments: [
            ("3.10.8", BrokerVersion(3, 10, 8)), ("4.0.0-rc.1", BrokerVersion(4, 0, 0)),
            ("3.13.7+12.gabc", BrokerVersion(3, 13, 7)), ("4.1", BrokerVersion(4, 1, 0)), ("", nil), ("four", nil),
            ("4", nil),
        ] as [(String, BrokerVersion?)])
    func readsVersions(text: String, version: BrokerVersion?) {
        #expect(BrokerVersion(text) == version)
    }
}
