print("mqlock")
