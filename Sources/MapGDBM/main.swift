// placeholder
print("placeholder")
