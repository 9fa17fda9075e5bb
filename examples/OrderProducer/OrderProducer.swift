import ExamplesShared

/// Puts orders into the queue. Those of all customers are mixed; those of one customer are in the order of their
/// numbers.
///
/// It acquires no lock: one producer numbers the orders of a customer, and a queue keeps the order of one connection's
/// messages. Run it twice and every order is in the queue twice; the ledger still has each once.
@main
struct OrderProducer {
    static func main() async {
        await Program.run {
            let options = try Options(known: ["broker", "queue", "customers", "orders"])
            let queue = options.text("queue", default: "orders")
            let customers = try options.number("customers", default: 8)
            let orders = try options.number("orders", default: 5)
            let publisher = Publisher(try BrokerAddress(options.broker), queue: queue)
            for number in 1...max(orders, 1) {
                for customer in 1...max(customers, 1) {
                    let order = Order(customer: "customer-\(customer)", number: number, amount: customer * 100 + number)
                    try publisher.publish(order.message)
                    try Task.checkCancellation()
                }
            }
            publisher.close()
            Program.say("producer: \(customers * orders) orders of \(customers) customers are in the queue \(queue)")
        }
    }
}
