import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

@Suite struct ObjectNamesTests {
    @Test func theVectorsOfTheProtocol() throws {
        let vectors: [(String, String)] = [
            ("job", "mqlock.v1/job"), ("a b/c", "mqlock.v1/a b/c"), ("100%", "mqlock.v1/100%25"),
            ("a\r\nb", "mqlock.v1/a%0D%0Ab"), ("\u{7F}", "mqlock.v1/%7F"), ("é", "mqlock.v1/é"),
        ]
        for (name, queue) in vectors {
            let names = try ObjectNames(LockName(name), vhost: "/")
            #expect(names.queue == queue)
            #expect(names.register == queue.replacing("mqlock.v1/", with: "mqlock.v1.seeded/"))
        }
    }

    @Test func namesThatDifferInControlCharactersStayApart() throws {
        let names = try ["a\rb", "a\nb", "ab", "a%0Db"].map { try ObjectNames(LockName($0), vhost: "/").queue }
        #expect(Set(names).count == names.count)
    }

    @Test func whatDoesNotFitAQueueNameIsRefused() throws {
        let long = String(repeating: "x", count: 200)
        _ = try ObjectNames(LockName(long), vhost: "/")
        for (name, vhost) in [(long, String(repeating: "v", count: 60)), (String(repeating: "\n", count: 80), "/")] {
            #expect {
                try ObjectNames(LockName(name), vhost: vhost)
            } throws: {
                ($0 as? LockError)?.code == .invalidName
            }
        }
    }
}

@Suite struct TokenMessageTests {
    @Test func theVectorOfTheProtocol() throws {
        let nonce = try #require(Nonce("00112233445566778899aabbccddeeff"))
        let message = TokenMessage(number: 58_731_862_777_921_536, nonce: nonce)
        let text = "mqlock.v1 token 58731862777921536 00112233445566778899aabbccddeeff"
        #expect(message.payload == Array(text.utf8))
        #expect(TokenMessage(payload: Array(text.utf8)) == message)
    }

    @Test(arguments: [
        "", "hello", "mqlock.v1 token 1", "mqlock.v2 token 1 00112233445566778899aabbccddeeff",
        "mqlock.v1 token -1 00112233445566778899aabbccddeeff", "mqlock.v1 token 01 00112233445566778899aabbccddeeff",
        "mqlock.v1 token 18446744073709551616 00112233445566778899aabbccddeeff",
        "mqlock.v1 token 1 00112233445566778899AABBCCDDEEFF", "mqlock.v1 token 1 00112233445566778899aabbccddeef",
        "mqlock.v1  token 1 00112233445566778899aabbccddeeff", "mqlock.v1 token 1 00112233445566778899aabbccddeeff\n",
        "mqlock.v1 seed 1 00112233445566778899aabbccddeeff",
    ])
    func refusesEverythingElse(text: String) {
        #expect(TokenMessage(payload: Array(text.utf8)) == nil)
    }

    @Test func refusesWhatIsNoUTF8() {
        #expect(TokenMessage(payload: [0xFF, 0xFE]) == nil)
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

    @Test func countsMillisecondsSince2026() throws {
        #expect(try TokenNumber.seed(at: now, above: nil) == 1000 << 21)
        #expect(try TokenNumber.fence(number: 1000 << 21, count: 3, at: now).rawValue == 1000 << 21 + 96)
    }

    @Test func aSeedIsAboveTheLargestSeen() throws {
        #expect(try TokenNumber.seed(at: now, above: 5000 << 21) == 5000 << 21 + 32)
        #expect(try TokenNumber.seed(at: now, above: 10) == 1000 << 21)
        #expect(throws: LockError.self) { try TokenNumber.seed(at: now, above: .max) }
        #expect(throws: LockError.self) { try TokenNumber.seed(at: now, above: UInt64(Int64.max)) }
    }

    @Test func aClockBefore2026IsRefused() {
        #expect(throws: LockError.self) { try TokenNumber.seed(at: Date(timeIntervalSince1970: 0), above: nil) }
    }

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
